"""Broken files through every reader: what they hold, or an error with the path."""

import contextlib
import os
import random
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dfc2020_geo.cli.settings import read_settings
from dfc2020_geo.datasets import UnlabeledPatches
from dfc2020_geo.io.packs import find_damage, open_pack
from dfc2020_geo.io.packs.writing.pack import pack_tree
from dfc2020_geo.io.scenes import open_scene
from dfc2020_geo.models.contract import read_checkpoint
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support import ROOT
from tests.support.hostile import REAL
from tests.support.trees import write_unlabeled

#: Broken files of each kind; FUZZ_CASES=20000 is the long form.
CASES = int(os.environ.get('FUZZ_CASES', '150'))

#: Seconds that reading a broken file may take.
MOST_SECONDS = 20

#: Errors that are raised for users; others are defects.
FOR_USERS = (OSError, RuntimeError, TypeError, ValueError)

#: What stands for counts, places and sizes.
_ABSURD = (0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x8000_0000, 0xFFFF)


def _break(content: bytes, draw: random.Random) -> bytes:
    """Cut a file off, flip bits, or write absurd numbers into it."""
    broken = bytearray(content)
    way = draw.choice(['cut', 'flip', 'number', 'zeros', 'double', 'begin'])
    place = draw.randrange(len(broken))
    if way == 'cut':
        return bytes(broken[:place])
    if way == 'begin':  # headers are at the beginning
        place = draw.randrange(min(300, len(broken)))
    if way in ('flip', 'begin'):
        for at in (
            place,
            *(draw.randrange(len(broken)) for _ in range(draw.randrange(4))),
        ):
            broken[at] ^= 1 << draw.randrange(8)
    elif way == 'number':
        place = draw.randrange(min(len(broken) - 4, 2000))
        struct.pack_into('<I', broken, place, draw.choice(_ABSURD))
    elif way == 'zeros':
        size = draw.randrange(1, 200)
        broken[place : place + size] = bytes(len(broken[place : place + size]))
    else:
        return bytes(broken[:place] + broken[place // 2 :])
    return bytes(broken)


def _read_patch(path: Path) -> None:
    dataset = UnlabeledPatches(path.parent.parent)
    for index in range(len(dataset)):
        dataset[index]
        dataset.read_raw(index)


def _read_scene(path: Path) -> None:
    scene = open_scene(path, bands=['s2'])
    scene.read((0, scene.grid.height), (0, scene.grid.width))


def _read_pack(path: Path) -> None:
    root = path.parent if path.name == 'pack.json' else path.parent.parent
    pack = open_pack(root)
    if pack is not None and [*find_damage(pack, lambda done, total: None)]:
        raise RuntimeError(f'damaged: {path}')
    dataset = UnlabeledPatches(root)
    for index in range(len(dataset)):
        dataset[index]


def _read_checkpoint(path: Path) -> None:
    read_checkpoint(path)
    LandCoverSegmentation.load_from_checkpoint(path)


def _read_config(path: Path) -> None:
    read_settings([f'--config={path}'])


#: What reads a kind of file; and whether its message names it alone, or its folder.
READERS: dict[str, Callable[[Path], Any]] = {
    'patch': _read_patch,
    'scene': _read_scene,
    'manifest': _read_pack,
    'shard': _read_pack,
    'index': _read_pack,
    'checkpoint': _read_checkpoint,
    'config': _read_config,
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Whole files of each kind."""
    tree = write_unlabeled(tmp_path / 'tree', 'a_{}_1.tif')
    pack = tmp_path / 'pack'
    pack_tree(tree, pack)
    checkpoint = shutil.copy(REAL, tmp_path / 'a.ckpt')
    config = shutil.copy(ROOT / 'configs' / 'unet_s1s2.yaml', tmp_path / 'a.yaml')
    return {
        'patch': tree / 's2' / 'a_s2_1.tif',
        'scene': tree / 's2' / 'a_s2_1.tif',
        'manifest': pack / 'pack.json',
        'shard': pack / 'shards' / '00000.safetensors',
        'index': pack / 'shards' / 'index.safetensors',
        'checkpoint': Path(checkpoint),
        'config': Path(config),
    }


@contextlib.contextmanager
def _bounded(gigabytes: int) -> Iterator[None]:
    """Let a process ask for so much more memory than it has."""
    resource = pytest.importorskip('resource')
    with open('/proc/self/statm') as file:
        size = int(file.read().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + (gigabytes << 30), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.exhaustive
@pytest.mark.parametrize('kind', READERS)
def test_broken_files_are_refused_by_name(files: dict[str, Path], kind: str) -> None:
    path, read = files[kind], READERS[kind]
    read(path)
    whole = path.read_bytes()
    faults = []
    for seed in range(CASES):
        path.write_bytes(_break(whole, random.Random(f'{kind} {seed}')))
        start = time.monotonic()
        try:
            with _bounded(2):
                read(path)
        except FOR_USERS as error:
            places = (str(path), path.name, str(path.parent))
            if not any(place in str(error) for place in places):
                faults.append((seed, repr(error)[:300]))
        except Exception as error:  # noqa: BLE001 (each other is a defect)
            faults.append((seed, repr(error)[:300]))
        if time.monotonic() - start > MOST_SECONDS:
            faults.append((seed, 'took too long'))
    assert faults == []

"""What is not as it was packed is found and named, and nothing else is."""

import errno
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from dfc2020_geo.datasets import SEN12MSPatches
from dfc2020_geo.io.packs import find_damage, open_pack
from dfc2020_geo.io.packs.writing import pack_tree
from dfc2020_geo.io.rasters import read_raw
from dfc2020_geo.main import main
from tests.support.pack_trees import KINDS, rasters, write_sen12ms


@pytest.fixture(scope='module', params=['fast', 'compact'])
def packed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp(request.param)
    root = write_sen12ms(folder / 't', num=3)
    pack_tree(root, folder / 'p', request.param, shard_size=1)
    yield root, folder / 'p'
    assert not [*find_damage(open_pack(folder / 'p'))]


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def wrong_bands(root: Path, pack: Path) -> set[tuple[str, int]]:
    """Read each band of each raster; those that cannot be read."""
    opened, wrong = open_pack(pack), set()
    for name in rasters(root):
        for index in range(1, KINDS[name.split('_')[-3]][0] + 1):
            expected = read_raw(root / name, [index]).values
            # What the memory held before must not pass for what was read.
            out = expected.copy()
            told = None
            try:
                found = opened.read_raw(pack / name, [index], out=out).values
            except RuntimeError as error:
                told = str(error)
            if told is None:
                np.testing.assert_array_equal(found, expected)
            else:
                assert f'band {index} of {pack / name}' in told
                wrong.add((name, index))
    return wrong


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_named_by_shard_file_and_band(
    packed: tuple[Path, Path], data: st.DataObject
) -> None:
    root, whole = packed
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder, 'p')
        shutil.copytree(whole, pack)
        shard = pack / f'shards/{data.draw(st.integers(0, 2)):05}.safetensors'
        bit = data.draw(st.integers(0, 8 * shard.stat().st_size - 1))
        flip(shard, bit)
        found = [*find_damage(open_pack(pack))]
        wrong = wrong_bands(root, pack)
        # A byte belongs to one band of one raster, or to none.
        assert len(found) == 1
        assert str(shard) in found[0]
        assert len(wrong) <= 1
        for name, index in wrong:
            assert f'band {index} of {pack / name}' in found[0]
        length = int.from_bytes(
            (whole / 'shards' / shard.name).read_bytes()[:8], 'little'
        )
        is_header = bit // 8 < 8 + length
        assert is_header == (not wrong)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_flipped_bit_of_the_table_is_found(
    packed: tuple[Path, Path], data: st.DataObject
) -> None:
    root, whole = packed
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder, 'p')
        shutil.copytree(whole, pack)
        name = data.draw(st.sampled_from(['shards/index.safetensors', 'pack.json']))
        flip(
            pack / name, data.draw(st.integers(0, 8 * (pack / name).stat().st_size - 1))
        )
        told = read_everything(root, pack)
        if told is None:
            # A part of the table's file that says nothing of rasters.
            assert name != 'pack.json'
            told = ''.join(find_damage(open_pack(pack)))
        assert name in told


def read_everything(root: Path, pack: Path) -> str | None:
    """Read the first band of each raster, and return what went wrong."""
    try:
        opened = open_pack(pack)
        for path in rasters(root):
            expected = read_raw(root / path, [1]).values
            found = opened.read_raw(path, [1]).values
            np.testing.assert_array_equal(found, expected)
    except RuntimeError as error:
        return str(error)
    return None


@pytest.mark.parametrize('cut', [1, 1000, None], ids=str)
def test_a_truncated_or_missing_shard_is_named(
    packed: tuple[Path, Path],
    tmp_path: Path,
    cut: int | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pack = tmp_path / 'p'
    shutil.copytree(packed[1], pack)
    shard = pack / 'shards/00001.safetensors'
    with safe_open(shard, 'np') as tensors:
        held = sorted(tensors.keys())
    opened = open_pack(pack)
    if cut is None:
        shard.unlink()
    else:
        os.truncate(shard, shard.stat().st_size - cut)
    with pytest.raises(RuntimeError, match=f'{shard}.*it holds .*{held[0]}'):
        opened.read_raw(pack / held[0], [1])
    opened.read_raw(next(iter(opened.in_shard(0))), [1])
    with pytest.raises(SystemExit) as stop:
        main(['pack', '--verify', str(pack)])
    told = capsys.readouterr().err
    assert stop.value.code == 1
    assert f'1 parts of {pack} are damaged' in told
    assert str(shard) in told
    assert held[0] in told


def test_a_shard_that_is_cut_while_it_is_open_is_named(
    packed: tuple[Path, Path], tmp_path: Path
) -> None:
    pack = tmp_path / 'p'
    shutil.copytree(packed[1], pack)
    opened = open_pack(pack)
    name = [*opened.in_shard(0)][-1]
    values = opened.read_raw(name, [13]).values
    os.truncate(pack / 'shards/00000.safetensors', 5000)
    with pytest.raises(RuntimeError, match=r'00000\.safetensors .*band 13 of'):
        opened.read_raw(name, [13], out=values)


def test_a_changed_list_is_found(packed: tuple[Path, Path], tmp_path: Path) -> None:
    pack = tmp_path / 'p'
    shutil.copytree(packed[1], pack)
    flip(pack / 'SEN12MS_holdOutScenes.txt', 0)
    (found,) = find_damage(open_pack(pack))
    assert str(pack / 'SEN12MS_holdOutScenes.txt') in found


def test_a_whole_pack_is_told(
    packed: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(['pack', '--verify', str(packed[1])])
    assert 'is as it was packed: 10 files in 3 shards' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(['pack', '--verify', str(tmp_path)])
    assert f'Expected a pack that dfc2020-geo pack has made, got {tmp_path}' in (
        capsys.readouterr().err
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_flipped_bit_anywhere_never_gives_another_sample(
    packed: tuple[Path, Path], data: st.DataObject
) -> None:
    root, whole = packed
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder, 'p')
        shutil.copytree(whole, pack)
        files = sorted(path for path in pack.rglob('*') if path.is_file())
        path = data.draw(st.sampled_from(files))
        flip(path, data.draw(st.integers(0, 8 * path.stat().st_size - 1)))
        told = []
        for split in ('train', 'holdout'):
            expected = SEN12MSPatches(root, split=split)
            try:
                found = SEN12MSPatches(pack, split=split)
                assert [f.id for f in found.files] == [f.id for f in expected.files]
            except RuntimeError as error:
                told.append(str(error))
                continue
            for index in range(len(expected)):
                try:
                    stored = found.read_raw(index)
                except RuntimeError as error:
                    told.append(str(error))
                else:
                    for key, values in expected.read_raw(index).items():
                        np.testing.assert_array_equal(stored[key], values)
        assert all(str(path) in text for text in told)
        with pytest.raises(RuntimeError, match=path.name):
            raise RuntimeError('; '.join(find_damage(open_pack(pack))))


@pytest.mark.parametrize('kind', ['swapped', 'foreign'])
def test_a_shard_in_the_place_of_another_is_named(
    packed: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    pack, other = tmp_path / 'p', tmp_path / 'other'
    shutil.copytree(packed[1], pack)
    if kind == 'swapped':
        names = ['00001.safetensors', '00000.safetensors']
        shutil.copytree(packed[1], other)
    else:
        names = ['00000.safetensors', '00001.safetensors']
        write_sen12ms(tmp_path / 't', num=3, seed=1)
        name = open_pack(pack).manifest.format
        pack_tree(tmp_path / 't', other, name, shard_size=1)
    for number, name in enumerate(names):
        shutil.copy(other / 'shards' / name, pack / f'shards/{number:05}.safetensors')
    told = '\n'.join(find_damage(open_pack(pack)))
    opened = open_pack(pack)
    for number in (0, 1):
        shard = pack / f'shards/{number:05}.safetensors'
        assert str(shard) in told
        for path in opened.in_shard(number):
            with pytest.raises(RuntimeError, match=f'Expected {shard} as it was'):
                opened.read_raw(path, [1])


CUT = """
import os, sys
from dfc2020_geo.io.packs import open_pack
pack = open_pack(sys.argv[1])
for name in ('index.safetensors', '00000.safetensors'):
    first = next(iter(pack.names('ROIs1158_spring/s2_1')))
    os.truncate(f'{sys.argv[1]}/shards/{name}', 0)
    for folder in ('ROIs1158_spring/s2_1', 'ROIs1158_spring/lc_1'):
        try:
            for raster in pack.names(folder):
                pack.read_raw(f'{sys.argv[1]}/{folder}/{raster}', [1])
        except RuntimeError as error:
            print(error)
"""


def test_files_that_are_cut_off_while_they_are_open_end_no_process(
    packed: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(packed[1], tmp_path / 'p')
    done = subprocess.run(
        [sys.executable, '-c', CUT, str(tmp_path / 'p')],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert 'index.safetensors' in told[0]
    assert 'folder ROIs1158_spring/lc_1' in told[0]
    assert '00000.safetensors' in told[1]


def test_a_disk_that_cannot_be_read_is_named(
    packed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = open_pack(packed[1])
    path = next(iter(pack.in_shard(0)))

    def fail(*arguments: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, 'preadv', fail)
    with pytest.raises(RuntimeError, match=rf'00000\..*Input/output error of .*{path}'):
        pack.read_raw(path, [1])


def test_a_copy_is_not_opened_on_another_pack(
    packed: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(packed[1], tmp_path / 'p')
    name = open_pack(tmp_path / 'p').manifest.format
    copied = pickle.dumps(SEN12MSPatches(tmp_path / 'p'))
    assert len(pickle.loads(copied)) == 2
    shutil.rmtree(tmp_path / 'p')
    write_sen12ms(tmp_path / 't', num=3, seed=1)
    pack_tree(tmp_path / 't', tmp_path / 'p', name, shard_size=1)
    with pytest.raises(RuntimeError, match='as it was when it was opened'):
        pickle.loads(copied)

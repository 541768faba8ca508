"""What is read again is still what was packed, whatever became of the files."""

import multiprocessing
import os
import pickle
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfc2020_geo.datasets import SEN12MSPatches
from dfc2020_geo.io.packs import Pack, open_pack, shards
from dfc2020_geo.io.packs.writing import pack_tree
from dfc2020_geo.io.rasters import read_raw
from tests.support.pack_trees import KINDS, rasters, write_sen12ms
from tests.support.processes import CONTEXT

SHARD = 'shards/00000.safetensors'


@pytest.fixture(scope='module', params=['fast', 'compact'])
def packed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    root = write_sen12ms(folder / 't', num=3)
    pack_tree(root, folder / 'p', request.param)
    return root, folder / 'p'


@pytest.fixture
def pack(packed: tuple[Path, Path], tmp_path: Path) -> Path:
    shutil.copytree(packed[1], tmp_path / 'p')
    return tmp_path / 'p'


@cache
def content(path: Path) -> np.ndarray:
    return read_raw(path, range(1, KINDS[path.stem.split('_')[-3]][0] + 1)).values


def read_all(pack: Pack, root: Path, names: list[str]) -> list[str]:
    """Read each band of rasters, compare with the tree, and return what is refused."""
    refused = []
    for name in names:
        expected = content(root / name)
        indexes, wrong = range(1, len(expected) + 1), []
        for index in indexes:
            try:
                found = pack.read_raw(pack.root / name, [index]).values
            except RuntimeError as error:
                wrong.append(str(error))
            else:
                np.testing.assert_array_equal(found[0], expected[index - 1])
        if not wrong:
            found = pack.read_raw(pack.root / name, indexes[::-1]).values
            np.testing.assert_array_equal(found, expected[::-1])
        refused += wrong
    return refused


@pytest.mark.parametrize('system', ['POSIX', 'Windows'])
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_bands_are_the_same_however_often_they_are_read(
    packed: tuple[Path, Path], system: str, data: st.DataObject
) -> None:
    root, folder = packed
    with pytest.MonkeyPatch.context() as patch:
        if system == 'Windows':
            patch.delattr(os, 'preadv')
        pack = open_pack(folder)
        for _ in range(data.draw(st.integers(1, 6))):
            name = data.draw(st.sampled_from(rasters(root)))
            count = KINDS[name.split('_')[-3]][0]
            bands = st.lists(st.integers(1, count), min_size=1, max_size=5)
            indexes = data.draw(bands)
            expected = content(root / name)[[index - 1 for index in indexes]]
            for _ in range(3):
                out = np.empty_like(expected)
                out.view(np.uint8)[...] = 0xA5
                assert pack.read_raw(folder / name, indexes, out=out).values is out
                np.testing.assert_array_equal(out, expected)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize('inplace', [True, False])
def test_a_bit_that_flips_after_a_band_was_read_is_named(
    packed: tuple[Path, Path], inplace: bool, data: st.DataObject
) -> None:
    root, whole = packed
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(whole, Path(folder, 'p'))
        pack, names = open_pack(Path(folder, 'p')), rasters(root)
        for _ in range(2):
            assert not read_all(pack, root, names)
        shard = pack.root / SHARD
        content = bytearray(shard.read_bytes())
        start = 8 + int.from_bytes(content[:8], 'little')
        content[data.draw(st.integers(start, len(content) - 1))] ^= 16
        if inplace:
            with shard.open('r+b') as file:
                file.write(content)
        else:
            # Who replaces a file leaves what others have opened as it is.
            shard.rename(f'{shard}.old')
            shard.write_bytes(content)
        for _ in range(2):
            refused = read_all(pack, root, names)
            assert len(refused) == inplace
            assert not inplace or f'{shard} as it was packed' in refused[0]
        assert len(read_all(open_pack(pack.root), root, names)) == 1


def test_bands_that_were_read_do_not_vouch_for_others(
    packed: tuple[Path, Path], pack: Path
) -> None:
    opened_pack, names = open_pack(pack), rasters(packed[0])
    data = bytearray((pack / SHARD).read_bytes())
    data[-1] ^= 1
    (pack / SHARD).write_bytes(data)
    for name in names:
        expected = content(packed[0] / name)
        for index in (1, len(expected) // 2):
            opened_pack.read_raw(pack / name, [index])
    for _ in range(2):
        refused = []
        for name in names:
            count = len(content(packed[0] / name))
            try:
                opened_pack.read_raw(pack / name, range(1, count + 1))
            except RuntimeError as error:
                refused.append(f'band {count} of {pack / name}' in str(error))
        assert refused == [True]


@pytest.mark.parametrize('times', [1, 2])
def test_a_file_that_is_cut_off_and_whole_again(
    packed: tuple[Path, Path], pack: Path, times: int
) -> None:
    opened_pack, names = open_pack(pack), rasters(packed[0])
    for name in names[:times]:
        opened_pack.read_raw(pack / name, [1])
        assert times == 1 or not read_all(opened_pack, packed[0], names)
    whole = (pack / SHARD).read_bytes()
    half = len(whole) // 2
    os.truncate(pack / SHARD, half)
    refused = [len(read_all(opened_pack, packed[0], names)) for _ in range(2)]
    assert 0 < refused[0] == refused[1]
    with (pack / SHARD).open('r+b') as file:
        file.seek(half)
        file.write(whole[half:] + b'and more')
    for _ in range(2):
        assert not read_all(opened_pack, packed[0], names)


def test_what_is_not_in_memory_is_read(packed: tuple[Path, Path], pack: Path) -> None:
    opened_pack, names = open_pack(pack), rasters(packed[0])
    for _ in range(3):
        assert not read_all(opened_pack, packed[0], names)
        number = os.open(pack / SHARD, os.O_RDONLY)
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def sums(dataset: SEN12MSPatches) -> list[int]:
    return [
        sum(int(values.view(np.uint8).sum()) for values in dataset.read_raw(i).values())
        for i in range(len(dataset))
    ]


@pytest.mark.parametrize(
    'method', ['fork', pytest.param('new', marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings('ignore:This process .* is multi-threaded')
def test_processes_begun_after_reading_read_the_same(
    packed: tuple[Path, Path], method: str
) -> None:
    dataset = SEN12MSPatches(packed[1])
    expected = sums(dataset)
    assert sums(dataset) == expected
    assert sums(SEN12MSPatches(packed[0])) == expected
    context = CONTEXT if method == 'new' else multiprocessing.get_context('fork')
    with ProcessPoolExecutor(2, context) as pool:
        assert [*pool.map(sums, [dataset] * 2)] == [expected] * 2
    if method == 'fork':
        process = context.Process(target=lambda: os._exit(sums(dataset) != expected))
        process.start()
        process.join()
        assert process.exitcode == 0
    assert sums(dataset) == expected


@pytest.mark.parametrize('system', ['POSIX', 'Windows'])
def test_threads_read_at_the_same_time(
    packed: tuple[Path, Path], system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == 'Windows':
        monkeypatch.delattr(os, 'preadv')
    dataset = SEN12MSPatches(packed[1])
    expected, found = sums(SEN12MSPatches(packed[0])), []
    threads = [
        threading.Thread(target=lambda: found.extend(sums(dataset) for _ in range(30)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 180


def test_a_selection_reads_its_own_patches(packed: tuple[Path, Path]) -> None:
    dataset = SEN12MSPatches(packed[1])
    expected = sums(dataset)
    selected = dataset.select([1, 0, 1])
    assert sums(selected) == [expected[1], expected[0], expected[1]]
    assert sums(dataset) == expected
    assert sums(selected.select([1])) == [expected[0]]
    dataset.files = dataset.files[1:]
    assert sums(dataset) == expected[1:]
    for wrong in (1, -2):
        with pytest.raises(IndexError):
            dataset.read_raw(wrong)


def test_copies_hold_nothing_that_was_read(packed: tuple[Path, Path]) -> None:
    dataset = SEN12MSPatches(packed[1])
    many = dataset.select([0] * 10_000)
    before = len(pickle.dumps(many))
    many.read_raw(9999)
    assert len(pickle.dumps(many)) - before < 1000
    assert sums(pickle.loads(pickle.dumps(dataset))) == sums(dataset)


@pytest.mark.skipif(not Path('/proc/self/fd').is_dir(), reason='needs Linux')
def test_files_are_closed_and_none_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_sen12ms(tmp_path / 't', num=12, side=4)
    pack_tree(root, tmp_path / 'p', shard_size=1)
    monkeypatch.setattr(shards, 'NUM_OPEN', 5)
    pack = open_pack(tmp_path / 'p')
    before, _ = count_open(tmp_path)  # the table
    for _ in range(3):
        assert not read_all(pack, root, rasters(root))
        files, mappings = count_open(tmp_path)
        assert files - before <= 5
        assert mappings == 0
    del pack
    assert count_open(tmp_path) == (0, 0)


def count_open(folder: Path) -> tuple[int, int]:
    """Count the open files below a folder, and the mapped ones."""
    files = 0
    for name in os.listdir('/proc/self/fd'):
        try:
            files += os.readlink(f'/proc/self/fd/{name}').startswith(str(folder))
        except OSError:
            continue
    return files, Path('/proc/self/maps').read_text().count(f'{folder}/')


@pytest.mark.parametrize('change', [shutil.rmtree, lambda p: p.rename(f'{p}_old')])
def test_a_pack_that_is_made_anew_while_it_is_read(
    packed: tuple[Path, Path],
    pack: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
) -> None:
    opened_pack, names = open_pack(pack), rasters(packed[0])
    assert not read_all(opened_pack, packed[0], names)
    other = write_sen12ms(tmp_path / 'other', num=3, seed=1)
    change(pack)
    pack_tree(other, pack, opened_pack.manifest.format)
    # Who has it open reads the old one; who opens it, the new one.
    for _ in range(2):
        assert not read_all(opened_pack, packed[0], names)
        assert not read_all(open_pack(pack), other, names)

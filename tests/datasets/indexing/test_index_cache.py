"""An index is recalled while the tree is as it was, and only then."""

import multiprocessing
import os
import shutil
import signal
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchgeo.datasets import DatasetNotFoundError

from dfc2020_geo.datasets import DFC2020Patches, SEN12MSPatches, UnlabeledPatches
from dfc2020_geo.datasets.indexing import index_cache as module
from dfc2020_geo.datasets.indexing.trees import FolderTree
from dfc2020_geo.io.cache_dir import CACHE_VARIABLE
from tests.support.trees import write_copernicus, write_sen12ms, write_unlabeled

BROKEN = 'summer_146_p202'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, at a time when the trees have long been left alone."""
    folder = tmp_path / 'the_cache'
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    monkeypatch.setattr(module, 'time_ns', lambda: time.time_ns() + 10 * 10**9)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    patches = ['spring_1_p1', 'spring_1_p2', BROKEN, 'summer_2_p3']
    return write_sen12ms(tmp_path / 'tree', patches, ['ROIs1868_summer/s1_2'])


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that are read."""
    read: list[str] = []
    scan = FolderTree.scan

    def note(self: FolderTree, folder: str) -> tuple[list[str], list[str]]:
        read.append(folder)
        return scan(self, folder)

    monkeypatch.setattr(FolderTree, 'scan', note)
    return read


def entries(cache: Path) -> list[Path]:
    return sorted((cache / 'indexes').iterdir()) if cache.exists() else []


def ids(root: Path, split: str = 'train', **arguments: Any) -> list[str]:
    return [files.id for files in SEN12MSPatches(root, split, **arguments).files]


def test_the_second_time_no_folder_is_read(
    cache: Path, tree: Path, scans: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    first = SEN12MSPatches(tree).files
    assert len(entries(cache)) == 1
    warned = caplog.text.count(f'Skipped patch ROIs1868_summer_s2_{BROKEN[7:]}')
    scans.clear()
    assert SEN12MSPatches(tree).files == tuple(first)
    assert not scans
    assert caplog.text.count('Skipped patch') == 2 * warned == 2


def test_each_question_has_its_own_answer(cache: Path, tree: Path) -> None:
    questions = [
        {'split': split, 'bands': bands}
        for split in ('train', 'holdout', 'geo_train')
        for bands in (['s1'], ['s2'], ['s1', 's2'])
    ]
    answers = [tuple(SEN12MSPatches(tree, **question).files) for question in questions]
    assert len(set(answers)) == len(questions) - 3  # of one scene, geo_train is train
    assert len(entries(cache)) == len(questions)
    assert answers == [tuple(SEN12MSPatches(tree, **q).files) for q in questions]


def test_a_tree_that_has_just_changed_is_read_each_time(
    cache: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, scans: list[str]
) -> None:
    now = time.time_ns()
    for later in (0, -(3600 * 10**9), 10**9):  # clocks of servers may be ahead
        monkeypatch.setattr(module, 'time_ns', lambda now=now, later=later: now + later)
        scans.clear()
        ids(tree)
        assert scans
        assert not entries(cache)


def test_a_link_and_a_relative_root_share_the_index_but_not_the_paths(
    cache: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tree.with_name('link')
    link.symlink_to(tree)
    monkeypatch.chdir(tree.parent)
    paths = {SEN12MSPatches(root).files[0].s2 for root in (tree, link, Path('tree'))}
    rest = 'ROIs1158_spring/s2_1/ROIs1158_spring_s2_1_p1.tif'
    assert paths == {tree / rest, link / rest, Path('tree') / rest}
    assert len(entries(cache)) == 1
    other = write_sen12ms(tree.with_name('other'), ['spring_1_p9'], [])
    (other / 'SEN12MS_holdOutScenes.txt').write_text('ROIs1868_summer/s1_2\n')
    link.unlink()
    link.symlink_to(other)
    assert ids(link) == ['ROIs1158_spring_s2_1_p9']


def add(tree: Path, scene: str, patch: int) -> None:
    write_sen12ms(tree, [f'{scene}_p{patch}'], None, shape=(1, 1))


def remove(tree: Path, scene: str, patch: int) -> None:
    season, number = scene.split('_')
    for path in tree.glob(f'*_{season}/*_{number}/*_p{patch}.tif'):
        path.unlink()


def spoil(tree: Path, scene: str, patch: int) -> None:
    season, number = scene.split('_')
    for path in tree.glob(f'*_{season}/s1_{number}/*_p{patch}.tif'):
        path.rename(path.with_suffix('.bak'))


def hold_out(tree: Path, scene: str, patch: int) -> None:
    season, number = scene.split('_')
    names = {'spring': 'ROIs1158_spring', 'summer': 'ROIs1868_summer'}
    text = f'{names[season]}/s1_{number}\n' * patch
    (tree / 'SEN12MS_holdOutScenes.txt').write_text(text)


def nothing(tree: Path, scene: str, patch: int) -> None:
    pass


def outcome(root: Path, split: str) -> Any:
    try:
        return tuple(SEN12MSPatches(root, split).files)
    except (DatasetNotFoundError, RuntimeError) as error:
        return str(error)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([add, add, remove, spoil, hold_out, nothing]),
            st.sampled_from(['spring_1', 'spring_2', 'summer_1']),
            st.integers(1, 3),
        ),
        max_size=8,
    )
)
def test_whatever_is_done_to_a_tree_is_seen(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    tree = write_sen12ms(tmp_path_factory.mktemp('tree'), shape=(1, 1))
    for clock, (change, scene, patch) in enumerate(steps):
        before = snapshot(tree)
        change(tree, scene, patch)
        # As after a while: a folder's time is that of the last change in it.
        for path, content in snapshot(tree).items():
            if before.get(path) != content:
                os.utime(path, ns=(0, 10**18 + clock * 10**9))
        for split in ('train', 'holdout'):
            found = outcome(tree, split)
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv(CACHE_VARIABLE, '0')
                assert found == outcome(tree, split)
    assert entries(cache) or not steps


def snapshot(tree: Path) -> dict[Path, Any]:
    paths = [tree, *tree.rglob('*')]
    return {
        path: sorted(os.listdir(path)) if path.is_dir() else path.read_bytes()
        for path in paths
        if path.is_dir() or path.suffix == '.txt'
    }


def test_a_folder_whose_time_was_set_back_has_changed(cache: Path, tree: Path) -> None:
    kinds = [tree / f'ROIs1158_spring/{kind}_1' for kind in ('s1', 's2', 'lc')]
    assert len(ids(tree)) == 2
    before = {folder: folder.stat().st_mtime_ns for folder in kinds}
    time.sleep(0.02)  # the finest step of the system's clock is shorter
    add(tree, 'spring_1', 9)
    for folder, changed in before.items():
        os.utime(folder, ns=(changed, changed))
    assert len(ids(tree)) == 3


@pytest.mark.parametrize('name', ['', 'ROIs1158_spring', 'SEN12MS_holdOutScenes.txt'])
def test_a_time_in_the_far_future_is_a_change(
    cache: Path, tree: Path, name: str, scans: list[str]
) -> None:
    expected = ids(tree)
    os.utime(tree / name, ns=(0, 10**19))  # in the year 2286
    if (tree / name).stat().st_mtime_ns < 2**63:
        pytest.skip('times end before on this filesystem')
    for _ in range(2):
        scans.clear()
        assert ids(tree) == expected
        assert scans
    os.utime(tree / name, ns=(0, 10**18))
    assert ids(tree) == ids(tree) == expected


def test_a_process_whose_folder_was_removed_finds_no_patches(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / 'here'
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    with pytest.raises(DatasetNotFoundError, match=r'GeoTIFFs in \.,'):
        ids(Path())


@pytest.mark.parametrize('place', ['', 'splits', 'SEN12MS'])
def test_a_list_that_appears_or_changes_counts(
    cache: Path, tmp_path: Path, place: str
) -> None:
    home = 'SEN12MS' if place == 'SEN12MS' else ''
    root = tmp_path / 'tree'
    write_sen12ms(root / home, ['spring_1_p1', 'spring_2_p1'], None)
    (root / place).mkdir(exist_ok=True)
    (root / home / 'train_list.txt').write_text('ROIs1158_spring_s2_1_p1.tif\n')
    assert ids(root) == ['ROIs1158_spring_s2_1_p1']
    scenes = root / place / 'SEN12MS_holdOutScenes.txt'
    for scene, other in (('1', '2'), ('2', '1')):
        scenes.write_text(f'ROIs1158_spring/s1_{scene}\n')
        os.utime(scenes, ns=(0, int(scene) * 10**9))
        assert ids(root) == [f'ROIs1158_spring_s2_{other}_p1']


def test_other_layouts_are_recalled_too(
    cache: Path, tmp_path: Path, scans: list[str]
) -> None:
    root = write_copernicus(tmp_path / 'c', val='ROIs0000_test_dfc_0_p1.tif\n')
    images = write_unlabeled(tmp_path / 'u', 'a_{}_1.tif', 'é_{}_1.tif', 'x.tif')
    (images / 's2' / os.fsdecode(b'\xff_s2_.tif')).touch()
    (images / 's1' / os.fsdecode(b'\xff_s1_.tif')).touch()

    def find() -> list[tuple[Any, ...]]:
        datasets = DFC2020Patches(root, 'copernicus-val'), UnlabeledPatches(images)
        return [tuple(dataset.files) for dataset in datasets]

    first = find()
    scans.clear()
    assert find() == first
    assert not scans
    (root / 'dfc-val-new.csv').write_text('ROIs0000_test_dfc_0_p2.tif\n')
    os.utime(root / 'dfc-val-new.csv', ns=(0, 10**9))
    assert find() != first


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_damaged_file_is_no_index(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tree = write_unlabeled(tmp_path_factory.mktemp('t'), 'a_{}_1.tif', 'b_{}_1.tif')
    expected = tuple(UnlabeledPatches(tree).files)
    path = max(entries(cache), key=lambda entry: entry.stat().st_mtime_ns)
    content = bytearray(path.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(0, 255))
    content = content[:cut] if data.draw(st.booleans()) else content
    body = bytes(content[8:])
    if data.draw(st.booleans()):  # somebody who knows how they are made
        content = zlib.crc32(body).to_bytes(8, 'little') + body
    path.write_bytes(bytes(content))
    found = UnlabeledPatches(tree).files
    for files in found:  # whatever they are: below the root, and no error
        assert files.s2.is_relative_to(tree)
        assert '..' not in files.s2.parts
    if content[:8] != zlib.crc32(body).to_bytes(8, 'little'):
        assert found == expected


@pytest.mark.parametrize('junk', [b'', b'\0' * 200, b'\xff' * 48, b'[' * 100_000])
def test_junk_is_no_index_and_is_replaced(
    cache: Path, tree: Path, junk: bytes, scans: list[str]
) -> None:
    expected = ids(tree)
    [path] = entries(cache)
    for checked in (junk, zlib.crc32(junk).to_bytes(8, 'little') + junk):
        path.write_bytes(checked)
        assert ids(tree) == expected
    scans.clear()
    assert ids(tree) == expected
    assert not scans


def test_nothing_is_kept_where_that_is_impossible_or_not_wanted(
    cache: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ids(tree)
    [path] = entries(cache)
    path.unlink()
    path.mkdir()
    assert ids(tree) == expected
    for folder in ('/dev/null/x', '/proc/x', '0'):
        monkeypatch.setenv(CACHE_VARIABLE, folder)
        assert ids(tree) == expected
    assert entries(cache) == [path]


def test_old_indexes_go(cache: Path, tree: Path) -> None:
    ids(tree)
    [old] = entries(cache)
    os.utime(old, (0, 0))
    ids(tree, 'holdout')
    assert old not in entries(cache)
    assert len(entries(cache)) == 1


def find_often(root: Path, expected: list[str], times: int) -> None:
    module.time_ns = lambda: time.time_ns() + 10 * 10**9
    for _ in range(times):
        assert ids(root) == expected
        shutil.rmtree(Path(os.environ[CACHE_VARIABLE]) / 'indexes', ignore_errors=True)


def test_processes_at_once_and_killed_ones(cache: Path, tree: Path) -> None:
    expected = ids(tree)
    context = multiprocessing.get_context('fork')
    workers = [
        context.Process(target=find_often, args=(tree, expected, times))
        for times in (40, 40, 10**6)
    ]
    for worker in workers:
        worker.start()
    time.sleep(0.1)
    os.kill(workers[2].pid, signal.SIGKILL)
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, -signal.SIGKILL]
    assert ids(tree) == expected
    assert ids(tree) == expected

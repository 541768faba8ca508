"""Names taken by the thousand: the same patches as one file after the other."""

import pickle
import re
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfc2020_geo.datasets import SEN12MSPatches
from dfc2020_geo.datasets.indexing.files import PatchFiles
from dfc2020_geo.datasets.indexing.names import group_names, match_names
from dfc2020_geo.datasets.indexing.pairing import pair
from dfc2020_geo.datasets.indexing.table import PatchTable
from dfc2020_geo.datasets.indexing.trees import FolderTree

ROOT = Path('some/root')
KINDS = ('s2', 's1', 'lc')

extensions = st.sampled_from(['.tif', '.TIFF', '.tiff'])
stems = st.lists(
    st.sampled_from(['a', '_', '_s1_', '_s2_', '1', '10', '-', '.b', 'é', '\udcff']),
    min_size=1,
    max_size=5,
).map(''.join)
names = st.builds('{}{}'.format, stems, extensions).filter(lambda n: n[0] != '.')
numbers = st.sampled_from(
    ['p1', 'p10', 'p2', 'p007', 'p٣', 'p²', 'p', 'p1_p2', 'p1 (1)']
)
#: Names as SEN12MS has them, or nearly.
official = st.builds(
    'ROIs1158_spring_{}_{}_{}{}'.format,
    st.sampled_from(['s2', 's1', 'lc']),
    st.sampled_from(['1', '12']),
    numbers,
    extensions,
)
RASTERS = re.compile(
    r'(?P<season>ROIs1158_spring)/(?P<kind>s1|s2|lc)_(?P<scene>\d+)'
    r'/(?P<stem>(?P=season)_(?P=kind)_(?P=scene)_p\d+)\.(?i:tiff?)'
)


@given(st.sets(names, max_size=8))
def test_names_are_held_once_and_in_order(drawn: set[str]) -> None:
    file_names = group_names('s1', 'x', sorted(drawn))
    found = []
    for names in file_names:
        own = [f'{names.start}{m}{names.extension}' for m in names.middles.split('/')]
        assert own == sorted(own)
        stems = [path.removeprefix('x/').rpartition('.')[0] for path in own]
        assert names.patches == [stem.replace('_s1_', '_s2_') for stem in stems]
        found += own
    assert sorted(found) == sorted(f'x/{name}' for name in drawn)


@given(
    st.sets(official, max_size=8)
    | st.sets(
        st.builds('ROIs1158_spring_s2_1_{}.tif'.format, numbers), min_size=1, max_size=4
    ),
    st.sampled_from(['s2_1', 's1_12', 'lc_1']),
)
def test_file_names_hold_what_the_pattern_matches(drawn: set[str], folder: str) -> None:
    folder = f'ROIs1158_spring/{folder}'
    file_names = match_names(RASTERS, folder, sorted(drawn))
    found = [
        (f'{names.start}{middle}{names.extension}', names.kind, names.scene)
        for names in file_names
        for middle in names.middles.split('/')
    ]
    matches = (RASTERS.fullmatch(f'{folder}/{name}') for name in drawn)
    expected = [(m[0], m['kind'], f'{m["season"]}/{m["scene"]}') for m in matches if m]
    assert sorted(found) == sorted(expected)


def one_by_one(
    files: dict[str, set[str]], kinds: tuple[str, ...]
) -> tuple[list[PatchFiles], list[dict[str, str]]]:
    """Pair files as the rule says it: by the name of the Sentinel-2 file."""
    patches = defaultdict(dict)
    for kind in kinds:
        for name in files[kind]:
            stem = name.rpartition('.')[0]
            patch = stem.replace(f'_{kind}_', '_s2_').replace('_s1_', '_s2_')
            if kind in patches[patch]:
                raise RuntimeError(patch)
            patches[patch][kind] = name

    def file_name(item: tuple[str, dict[str, str]]) -> str:
        patch, own = item
        first = own[next(kind for kind in kinds if kind in own)]
        return own.get('s2') or f'{patch}.{first.rpartition(".")[2]}'

    complete, lacking = [], []
    for patch, own in sorted(patches.items(), key=file_name):
        paths = {kind: ROOT / kind / name for kind, name in own.items()}
        if set(own) == set(kinds):
            stem = own['s2'].rpartition('.')[0] if 's2' in own else patch
            s2, s1, label = (paths.get(kind) for kind in ('s2', 's1', 'lc'))
            complete.append(PatchFiles(stem, s2, s1, label, ''))
        else:
            lacking.append({kind: str(path) for kind, path in paths.items()})
    return complete, lacking


@st.composite
def folders(draw: st.DrawFn) -> dict[str, set[str]]:
    """Draw names of three kinds, many of which belong together."""
    templates = draw(st.sets(names, max_size=6))
    files: dict[str, set[str]] = {}
    for kind in KINDS:
        renamed = {name.replace('_s2_', f'_{kind}_') for name in templates}
        files[kind] = renamed if draw(st.booleans()) else draw(st.sets(names))
    return files


@settings(max_examples=300)
@given(folders(), st.sampled_from([KINDS, ('s1', 'lc'), ('s2',), ('s2', 's1')]))
def test_patches_are_those_of_one_file_after_the_other(
    files: dict[str, set[str]], kinds: tuple[str, ...]
) -> None:
    file_names = [r for k in kinds for r in group_names(k, k, sorted(files[k]))]
    try:
        complete, lacking = one_by_one(files, kinds)
    except RuntimeError:
        with pytest.raises(RuntimeError, match=r'Expected one .* file of patch'):
            pair(ROOT, file_names, kinds)
        return
    table, incomplete = pair(ROOT, file_names, kinds)
    assert list(table) == complete
    assert incomplete == lacking


@st.composite
def tables(draw: st.DrawFn) -> PatchTable:
    stems = draw(st.sets(st.from_regex(r'\A[ab]{0,2}_?[a-c0-9é]{0,3}\Z'), max_size=9))
    # Not of equal length, so that parts of names lie at odd places.
    file_names = group_names('s2', 's2', sorted(f'{stem}.tif' for stem in stems))
    return pair(ROOT, file_names, ('s2',))[0]


@given(tables(), st.data())
def test_a_table_is_a_sequence_of_files(table: PatchTable, data: st.DataObject) -> None:
    plain = tuple(table)
    size = len(plain)
    assert len(table) == size == len({files.id for files in plain})
    assert table == plain
    assert plain == table
    assert [table[i] for i in range(-size, size)] == [*plain, *plain]
    for index in (size, -size - 1):
        with pytest.raises(IndexError):
            table[index]
    part = data.draw(st.slices(size))
    assert tuple(table[part]) == plain[part]
    if size:
        chosen = data.draw(st.lists(st.integers(-size, size - 1)))
        selected = table.select(chosen)
        assert tuple(selected) == tuple(plain[i] for i in chosen)
        assert selected.select(range(len(chosen))) == selected
        assert (table == plain[1:]) is False
    copy = pickle.loads(pickle.dumps(table))
    assert copy == table
    assert len(copy) == size
    assert table.folders == {files.s2.parent for files in plain}


def test_a_table_is_a_few_bytes_for_a_patch() -> None:
    names = sorted(f'ROIs1158_spring_s2_1_p{i}.tif' for i in range(10_000))
    others = sorted(name.replace('_s2_', '_s1_') for name in names)
    file_names = [
        *group_names('s2', 'ROIs1158_spring/s2_1', names),
        *group_names('s1', 'ROIs1158_spring/s1_1', others),
    ]
    table, _ = pair(ROOT, file_names, ('s2', 's1'))
    assert len(pickle.dumps(table)) < 12 * len(table)
    assert len(pickle.dumps(table.select(range(10)))) < 1000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    files=st.sets(
        st.sampled_from(['a.tif', 'b.TIF', '.c.tif', 'd.xml', 'é.tiff', '-'])
    ),
    inner=st.sets(st.sampled_from(['f', 'g.tif', '.h', '__MACOSX'])),
    links=st.sets(st.sampled_from(['to_file.tif', 'to_folder', 'to_nothing.tif'])),
)
def test_scan_lists_what_a_stat_of_each_entry_says(
    tmp_path_factory: pytest.TempPathFactory,
    files: set[str],
    inner: set[str],
    links: set[str],
) -> None:
    folder = tmp_path_factory.mktemp('root') / 'x'
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    for name in inner:
        (folder / name).mkdir()
    targets = {'to_file.tif': __file__, 'to_folder': '..', 'to_nothing.tif': 'no'}
    for name in links:
        (folder / name).symlink_to(targets[name])
    seen = [
        path
        for path in folder.iterdir()
        if path.name[0] != '.' and path.name != '__MACOSX'
    ]
    rasters = [p for p in seen if p.suffix.lower() in ('.tif', '.tiff')]
    expected = (
        sorted(path.name for path in seen if path.is_dir()),
        sorted(path.name for path in rasters if not path.is_dir()),
    )
    assert FolderTree(folder.parent).scan('x') == expected
    assert FolderTree(folder).scan('') == expected


def test_folders_that_may_not_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (f'{kind}_{scene}' for kind in KINDS for scene in (1, 2)):
        folder = tmp_path / f'SEN12MS/ROIs1158_spring/{name}'
        folder.mkdir(parents=True)
        (folder / f'ROIs1158_spring_{name}_p1.tif').touch()
    (tmp_path / 'lost+found').mkdir()
    (tmp_path / 'SEN12MS/SEN12MS_holdOutScenes.txt').write_text('ROIs1158_spring/s1_2')
    locked = {str(tmp_path / 'lost+found')}
    monkeypatch.setattr('os.access', lambda path, _: str(path) not in locked)
    assert len(SEN12MSPatches(tmp_path)) == 1
    locked.add(str(tmp_path / 'SEN12MS/ROIs1158_spring/s1_1'))
    with pytest.raises(PermissionError, match='s1_1'):
        SEN12MSPatches(tmp_path)

"""A check names what is wrong with a tree, and nothing else."""

import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from dfc2020_geo.datasets import checking
from dfc2020_geo.datasets.checking import (
    CheckJournal,
    PatchReport,
    check_patches,
    find_patch_sets,
    open_tree,
)
from dfc2020_geo.io.packs.writing.pack import pack_tree
from dfc2020_geo.synthetic import write_dfc2020, write_sen12ms, write_unlabeled
from tests.support import DATA


def _check(root: Path, deep: bool = True) -> list[PatchReport]:
    tree, pack = open_tree(root)
    return [
        check_patches(tree, pack, patch_set, deep, workers=2)
        for patch_set in find_patch_sets(tree)
    ]


def _told(root: Path, deep: bool = True) -> list[tuple[str, str, str]]:
    return [
        (remark.level, remark.path, remark.message)
        for report in _check(root, deep)
        for remark in report.remarks
        if remark.level != 'note'
    ]


@pytest.fixture(scope='module')
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('good')
    seasons = ('ROIs1158_spring', 'ROIs1868_summer')
    write_sen12ms(folder / 'sen12ms', size=32, seasons=seasons, patches_per_scene=2)
    write_dfc2020(folder / 'dfc2020', size=32, num_val=2, num_test=3)
    write_unlabeled(folder / 'unlabeled', size=32, num_patches=3)
    return folder


@pytest.mark.parametrize('deep', [False, True])
@pytest.mark.parametrize(
    ('name', 'kinds', 'count'),
    [
        ('sen12ms', ['SEN12MS'], 16),
        ('dfc2020', ['DFC2020, validation phase', 'DFC2020, test phase'], 5),
        ('unlabeled', ['unlabelled patches'], 3),
    ],
)
def test_of_a_good_tree_nothing_is_told(
    good: Path, name: str, kinds: list[str], count: int, deep: bool
) -> None:
    reports = _check(good / name, deep)
    assert [report.name for report in reports] == kinds
    assert sum(report.num_patches for report in reports) == count
    assert _told(good / name, deep) == []
    assert all(set(report.sizes) == {(32, 32)} for report in reports)


def test_of_a_pack_of_a_good_tree_nothing_is_told(good: Path, tmp_path: Path) -> None:
    pack_tree(good / 'sen12ms', tmp_path / 'pack')
    assert _told(tmp_path / 'pack') == []


def test_codes_of_labels_are_counted(good: Path) -> None:
    (report,) = _check(good / 'sen12ms')
    assert report.codes.total() == 15 * 32 * 32  # one is known to be damaged
    assert set(report.codes) <= set(range(1, 18))


def _change(path: Path, change: Callable[[np.ndarray], np.ndarray], **options: object):  # noqa: ANN202
    with rasterio.open(path) as raster:
        image, profile = raster.read(), raster.profile
    image = change(image)
    count, height, width = image.shape
    profile |= {'count': count, 'height': height, 'width': width, 'dtype': image.dtype}
    with rasterio.open(path, 'w', **profile | options) as raster:
        raster.write(image)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _compress_and_cut(path: Path) -> None:
    _change(path, lambda image: image, compress='zstd')
    path.write_bytes(path.read_bytes()[:-400])


#: Ways to spoil a file, whose path must be told: kind of the file, what is done to it, and
#: what a remark on it says.
WAYS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    'no s1': ('s1', Path.unlink, 'got no s1'),
    'no s2': ('s2', Path.unlink, 'got no s2'),
    'no label': ('lc', Path.unlink, 'got no lc'),
    'empty': ('s2', lambda p: p.write_bytes(b''), 'readable raster'),
    'no TIFF': ('s1', lambda p: p.write_text('<html>'), 'readable raster'),
    'cut off': ('s2', _cut, 'readable raster'),
    'cut off, compressed': ('s2', _compress_and_cut, 'readable raster'),
    'a folder': ('lc', lambda p: (p.unlink(), p.mkdir()), 'got no lc'),
    'a broken link': ('s1', lambda p: (p.unlink(), p.symlink_to('no')), 'readable'),
    '12 bands': ('s2', lambda p: _change(p, lambda x: x[1:]), 'Expected 13 bands, got 12'),
    '3 bands': ('s1', lambda p: _change(p, lambda x: x[[0, 1, 1]]), '2 bands, got 3'),
    'IGBP alone': ('lc', lambda p: _change(p, lambda x: x[:1]), '4 bands, got 1'),
    'smaller': ('s1', lambda p: _change(p, lambda x: x[:, :30]), 'not the size'),
    'labels of floats': (
        'lc', lambda p: _change(p, lambda x: x.astype('f4')), 'whole numbers',
    ),
    'complex': ('s1', lambda p: _change(p, lambda x: x.astype('c8')), 'real numbers'),
    'moved': (
        's1',
        lambda p: _change(p, lambda x: x, transform=Affine(10, 0, 5, 0, -10, 0)),
        'Expected no shift',
    ),
    'other CRS': ('lc', lambda p: _change(p, lambda x: x, crs='EPSG:3857'), 'not the CRS'),
    'unknown code': ('lc', lambda p: _change(p, lambda x: x * 0 + 77), r'got \[77\]'),
    'power': (
        's1',
        lambda p: _change(p, lambda x: (10 ** (x / 10)).astype('f4')),
        'linear power',
    ),
    'no data': ('s2', lambda p: _change(p, lambda x: x * 0), 'pixels with data, got none'),
    'misspelt': ('s2', lambda p: p.rename(p.with_name('B.tif')), 'got B.tif'),
}  # fmt: skip


@pytest.mark.parametrize('way', WAYS)
def test_what_is_wrong_is_named(good: Path, tmp_path: Path, way: str) -> None:
    root = shutil.copytree(good / 'sen12ms', tmp_path / 'tree')
    kind, spoil, expected = WAYS[way]
    path = sorted(root.glob(f'ROIs1158_spring/{kind}_*/*_p*.tif'))[3]
    spoil(path)
    told = _told(root)
    number = path.stem.rpartition('_')[2]
    here = [
        text for _, where, text in told
        if f'_{number}.tif' in where or 'B.tif' in where or number in text
    ]  # fmt: skip
    assert any(re.search(expected, text) for text in here), told
    others = [text for text in told if text[2] not in here]
    assert not [text for text in others if text[0] == 'error'], others


@pytest.mark.parametrize('name', ['sen12ms', 'dfc2020', 'unlabeled'])
def test_another_order_of_bands_is_told(good: Path, tmp_path: Path, name: str) -> None:
    root = shutil.copytree(good / name, tmp_path / 'tree')
    eurosat = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 8]  # B8A last
    for path in root.rglob('*_s2_*.tif'):
        _change(path, lambda image: image[eurosat])
    told = [text for level, _, text in _told(root, deep=False) if level == 'error']
    assert told
    assert all('in the order of SEN12MS' in text for text in told)


def test_described_bands_are_checked_by_their_names(good: Path, tmp_path: Path) -> None:
    root = shutil.copytree(good / 'unlabeled', tmp_path / 'tree')
    names = {'s2': ['nir', 'red', 'green', 'blue'], 's1': ['VH', 'VV']}
    positions = {'s2': [7, 3, 2, 1], 's1': [1, 0]}
    paths = {kind: sorted((root / kind).iterdir()) for kind in names}
    for kind, files in paths.items():
        for path in files:
            _change(path, lambda image, kind=kind: image[positions[kind]])
            with rasterio.open(path, 'r+') as raster:
                raster.descriptions = names[kind]
    assert _told(root) == []
    lacking = paths['s2'][1]
    with rasterio.open(lacking, 'r+') as raster:
        raster.set_band_description(1, 'SCL')
    (told,) = [text for text in _told(root) if text[0] == 'error']
    assert told[1] == str(lacking)
    assert 'B08' in told[2]


def test_files_to_skip_are_those_of_patches_with_errors(
    good: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(good / 'sen12ms', tmp_path / 'tree')
    broken, lonely, *_ = sorted(root.glob('ROIs1158_spring/s2_*/*.tif'))
    _cut(broken)
    lonely.unlink()
    (report,) = _check(root)
    names = {
        str(path.relative_to(root)).replace('s2_', f'{kind}_')
        for path in (broken, lonely)
        for kind in ('s2', 's1', 'lc')
    } - {str(lonely.relative_to(root))}
    assert report.spoilt == names


def test_equal_patches_and_other_sizes_are_told(good: Path, tmp_path: Path) -> None:
    root = shutil.copytree(good / 'unlabeled', tmp_path / 'tree')
    first, second, third = sorted((root / 's2').iterdir())
    shutil.copy(first, second)
    shutil.copy(
        root / 's1' / first.name.replace('s2', 's1'),
        root / 's1' / second.name.replace('s2', 's1'),
    )
    for folder in ('s1', 's2'):
        _change(
            root / folder / third.name.replace('s2', folder),
            lambda image: image[:, :16],
        )
    texts = [text for _, _, text in _told(root)]
    assert any('once more' in text for text in texts)
    assert any('of one size, 32 x 32 as most, got 1 of 16 x 32' in t for t in texts)


@pytest.mark.parametrize(
    ('text', 'expected'), [('nonsense', "got 'nonsense' in line 1"), ('', 'got none')]
)
def test_lists_that_cannot_be_read_are_told(
    good: Path, tmp_path: Path, text: str, expected: str
) -> None:
    root = shutil.copytree(good / 'sen12ms', tmp_path / 'tree')
    (root / 'SEN12MS_holdOutScenes.txt').write_text(text)
    assert any(expected in message for _, _, message in _told(root))


def test_patches_of_training_and_holdout_are_told(good: Path, tmp_path: Path) -> None:
    root = shutil.copytree(good / 'sen12ms', tmp_path / 'tree')
    (root / 'SEN12MS_holdOutScenes.txt').unlink()
    names = [path.name for path in sorted(root.glob('*/s2_*/*.tif'))]
    (root / 'train_list.txt').write_text('\n'.join(names[:9]))
    (root / 'test_list.txt').write_text('\n'.join(names[8:]))
    told = _told(root)
    assert [path for _, path, _ in told] == [str(root)]
    assert names[8].removesuffix('.tif') in told[0][2]


def test_a_known_damaged_patch_is_no_error(tmp_path: Path) -> None:
    with tarfile.open(DATA / 'tree.tar.gz') as archive:
        archive.extractall(tmp_path, filter='data')
    levels = [level for level, _, _ in _told(tmp_path / 'tree' / 'sen12ms')]
    assert 'error' not in levels


def test_a_check_that_was_stopped_goes_on(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(good / 'unlabeled', tmp_path / 'tree')
    monkeypatch.setattr('dfc2020_geo.datasets.checking._CHUNK', 1)
    tree, _ = open_tree(root)
    (patch_set,) = find_patch_sets(tree)
    first, second, third = sorted((root / 's2').iterdir())
    # The headers of the first patch say which bands there are, in each run.
    names = {
        path: {path, root / 's1' / path.name.replace('s2', 's1')}
        for path in (first, third)
    }
    shutil.copy(first, second)

    def check(journal: Path) -> PatchReport:
        return check_patches(
            tree, None, patch_set, deep=True, journal=CheckJournal(journal)
        )

    whole = check(tmp_path / 'whole')
    assert any('once more' in remark.message for remark in whole.remarks) is False
    lines = (tmp_path / 'whole').read_text().splitlines(keepends=True)
    assert len(lines) == 3
    (tmp_path / 'part').write_text(lines[0] + lines[1] + lines[2][:100])
    reads: list[Path] = []
    read = checking.read_patch_header
    monkeypatch.setattr(
        checking,
        'read_patch_header',
        lambda path, *a: reads.append(path) or read(path, *a),
    )
    assert check(tmp_path / 'part') == whole
    assert {*reads} == names[first] | names[third]
    assert len(reads) == 4
    reads.clear()
    assert check(tmp_path / 'part') == whole
    assert {*reads} == names[first]
    assert len(reads) == 2
    _cut(first)  # another file under the same name is looked at
    assert any(remark.path == str(first) for remark in check(tmp_path / 'part').remarks)

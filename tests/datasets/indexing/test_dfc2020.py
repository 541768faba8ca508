"""The contest's data on disk: three packagings, each in its variants."""

from pathlib import Path

import pytest
from torchgeo.datasets import DatasetNotFoundError

from dfc2020_geo.datasets import DFC2020Patches
from tests.support.trees import write, write_copernicus, write_phase, write_public

PUBLIC = ['autumn_Mumbai_p2', 'autumn_CapeTown_p10', 'winter_KippaRing_p1']


def ids(dataset: DFC2020Patches) -> list[str]:
    return [files.id for files in dataset.files]


VARIANTS = {
    'validation': [
        'ROIs0000_validation/{kind}_validation',
        'ROIs0000_validation/{kind}_0',
        '{kind}_validation',
        '{kind}_validation/{kind}_validation',
        '{kind}_validation/ROIs0000_validation/{kind}_validation',
        'ROIs0000_validation/{kind}_validation/{kind}_validation',
        'validation/{kind}_validation',
        'val/{kind}_val',
        'validation',
        '',
        'DFC2020/ROIs0000_validation/{kind}_validation',
        'DFC2020/{kind}_validation/{kind}_validation',
        '{kind}_extracted/{kind}_validation',
    ],
    'test': [
        'ROIs0000_test/{kind}_0',
        'ROIs0000_test/{kind}_test',
        '{kind}_0',
        '{kind}_0/{kind}_0',
        '{kind}_0/ROIs0000_test/{kind}_0',
        'test/{kind}_test',
        'ROIs0000_test',
        'dfc_s2_root/ROIs0000_test/{kind}_0',
    ],
}


@pytest.mark.parametrize(
    ('phase', 'folder'),
    [(phase, f) for phase, folders in VARIANTS.items() for f in folders],
)
def test_split_zips_in_every_variant(tmp_path: Path, phase: str, folder: str) -> None:
    write_phase(tmp_path, folder, phase, num=11)
    split = 'val' if phase == 'validation' else 'test'
    dataset = DFC2020Patches(tmp_path, split)
    numbers = (0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9)
    assert ids(dataset) == [f'ROIs0000_{phase}_s2_0_p{i}' for i in numbers]
    assert dataset[0].keys() == {'image', 'mask'}
    assert dataset.note == ''
    assert dataset.files[0].scene == f'ROIs0000_{phase}/0'


def test_both_phases_in_folders_of_the_same_name(tmp_path: Path) -> None:
    write_phase(tmp_path, 'ROIs0000_validation/{kind}_0', 'validation', num=1)
    write_phase(tmp_path, 'ROIs0000_test/{kind}_0', 'test', num=2)
    assert len(DFC2020Patches(tmp_path, 'val')) == 1
    assert len(DFC2020Patches(tmp_path, 'test')) == 2


def test_both_phases_flat(tmp_path: Path) -> None:
    write_phase(tmp_path, '{kind}_validation', 'validation', num=1)
    write_phase(tmp_path, '{kind}_0', 'test', num=2)
    assert len(DFC2020Patches(tmp_path, 'val')) == 1
    assert len(DFC2020Patches(tmp_path, 'test')) == 2


def test_junk_beside_the_files_is_not_read(tmp_path: Path) -> None:
    root = write_phase(tmp_path, 'ROIs0000_test/{kind}_0', 'test', num=1)
    name = 'ROIs0000_test_s2_0_p0.tif'
    write(root / '__MACOSX/ROIs0000_test/s2_0' / f'._{name}', 's2')
    write(root / 'ROIs0000_test/__MACOSX/s2_0' / name, 's2')
    write(root / 'ROIs0000_test/s2_old' / name, 's2')
    write(root / 'ROIs0000_test/lc_0' / 'ROIs0000_test_lc_0_p0.tif', 'lc')
    write(root / 'predictions' / 'ROIs0000_test_dfc_0_p0.tif', 'dfc')
    (root / 'ROIs0000_test/s2_0' / f'._{name}').write_bytes(b'junk')
    (root / 'ROIs0000_test/s2_0' / f'{name}.aux.xml').write_text('junk')
    (root / 'ROIs0000_test/s2_0/.DS_Store').write_bytes(b'junk')
    dataset = DFC2020Patches(root, 'test')
    assert len(dataset) == 1
    assert dataset.files[0].label.parent.name == 'dfc_0'


@pytest.mark.parametrize(
    ('bands', 'removed', 'message'),
    [
        (
            ['s1', 's2'],
            's2',
            r'2 s1 files without s2 \(.*_s1_0_p0\.tif, .*_s1_0_p1\.tif\)',
        ),
        (
            ['s1', 's2'],
            's1',
            r'2 s2 files without s1 \(.*_s2_0_p0\.tif, .*_s2_0_p1\.tif\)',
        ),
        (['s1'], 'dfc', r'2 s1 files without dfc \(.*\)\..*unlabeled'),
    ],
)
@pytest.mark.parametrize('split', ['test', 'copernicus-val'])
def test_missing_twins_are_counted_and_named(
    tmp_path: Path, split: str, bands: list[str], removed: str, message: str
) -> None:
    if split == 'test':
        write_phase(tmp_path, '{kind}_0', 'test')
    else:
        names = 'ROIs0000_test_dfc_0_p0.tif\nROIs0000_test_dfc_0_p1.tif\n'
        write_copernicus(tmp_path, val=names)
    for path in tmp_path.glob(f'**/ROIs0000_test_{removed}_*.tif'):
        path.unlink()
    with pytest.raises(DatasetNotFoundError, match=message):
        DFC2020Patches(tmp_path, split, bands=bands)


def test_a_phase_extracted_twice(tmp_path: Path) -> None:
    write_phase(tmp_path, '{kind}_0', 'test', num=1)
    write_phase(tmp_path, 'ROIs0000_test/{kind}_0', 'test', num=1)
    with pytest.raises(RuntimeError, match=r'Expected one .* file of patch .* remove'):
        DFC2020Patches(tmp_path, 'test')


@pytest.mark.parametrize(
    'folder', ['', 'DFC_Public_Dataset', 'data/DFC_Public_Dataset', 'unzipped']
)
def test_public_dataset_in_its_folder_or_above(tmp_path: Path, folder: str) -> None:
    write_public(tmp_path / folder, PUBLIC)
    dataset = DFC2020Patches(tmp_path, 'all')
    assert ids(dataset) == [
        'ROIs0000_autumn_s2_CapeTown_p10',
        'ROIs0000_autumn_s2_Mumbai_p2',
        'ROIs0000_winter_s2_KippaRing_p1',
    ]
    assert dataset.prediction_id(0) == 'ROIs0000_autumn_dfc_CapeTown_p10'
    assert dataset.files[1].scene == 'ROIs0000_autumn/Mumbai'


def test_cities_of_the_public_dataset(tmp_path: Path) -> None:
    write_public(tmp_path, PUBLIC)
    write(tmp_path / 'ROIs0000_autumn/s1_old/ROIs0000_autumn_s1_Mumbai_p2.tif', 's1')
    assert len(DFC2020Patches(tmp_path, 'all', cities=['Mumbai', 'KippaRing'])) == 2
    assert len(DFC2020Patches(tmp_path, 'all', cities='Mumbai')) == 1
    with pytest.raises(
        ValueError, match=r"cities CapeTown, KippaRing, Mumbai, got \['mumbai'\]\."
    ):
        DFC2020Patches(tmp_path, 'all', cities=['CapeTown', 'mumbai'])
    with pytest.raises(ValueError, match=r'one or more of the cities .*, got \[\]'):
        DFC2020Patches(tmp_path, 'all', cities=[])
    with pytest.raises(ValueError, match=r"split 'all' only, got .* with 'val'"):
        DFC2020Patches(tmp_path, 'val', cities=['Mumbai'])


def test_incomplete_patches_of_the_public_dataset_are_skipped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_public(tmp_path, [f'autumn_Mumbai_p{i}' for i in range(6)])
    folder = tmp_path / 'ROIs0000_autumn'
    for number, kind in enumerate(('s1', 's2', 'dfc', 's1')):
        (folder / f'{kind}_Mumbai/ROIs0000_autumn_{kind}_Mumbai_p{number}.tif').unlink()
    dataset = DFC2020Patches(tmp_path, 'all')
    assert [name[-2:] for name in ids(dataset)] == ['p4', 'p5']
    assert 'Skipped 4 incomplete patches' in caplog.text
    assert all(f'Mumbai_p{i}' in caplog.text for i in range(3))
    assert 'and 1 more' in caplog.text
    caplog.clear()
    assert len(DFC2020Patches(tmp_path, 'all', bands=['s2'])) == 4
    assert 'Skipped 2 incomplete patches' in caplog.text


@pytest.mark.parametrize('folder', ['', 'dfc2020_s1s2', 'dfc2020/dfc2020_s1s2', 'x'])
def test_copernicus_bench_in_its_folder_or_above(tmp_path: Path, folder: str) -> None:
    write_copernicus(
        tmp_path / folder,
        train='ROIs0000_test_dfc_0_p5.tif\nROIs0000_test_dfc_0_p0.tif\n',
        val='\ufeffROIs0000_test_dfc_0_p1.tif\r\n\r\n',
        test='"ROIs0000_test_dfc_0_p2.tif",3\nROIs0000_test_s2_0_p3\n',
    )
    numbers = {'train': [0, 5], 'val': [1], 'test': [2, 3]}
    for part, expected in numbers.items():
        dataset = DFC2020Patches(tmp_path, f'copernicus-{part}')
        assert ids(dataset) == [f'ROIs0000_test_s2_0_p{i}' for i in expected]
        assert "out of the contest's test phase" in dataset.note
        assert dataset[0].keys() == {'image', 'mask'}


@pytest.mark.parametrize(
    ('lists', 'error', 'message'),
    [
        ({}, DatasetNotFoundError, r'dfc-val-new\.csv beside .* got only dfc, s1, s2'),
        ({'val': 'p1\n'}, RuntimeError, r"dfc-val-new\.csv, got 'p1' in line 1"),
        ({'val': ''}, RuntimeError, r'dfc-val-new\.csv, got none\.'),
        (
            {'val': 'ROIs0000_test_dfc_0_p7.tif\nROIs0000_test_dfc_0_p8.tif\n'},
            DatasetNotFoundError,
            r'got 2 without any file: ROIs0000_test_s2_0_p7, ROIs0000_test_s2_0_p8',
        ),
    ],
)
def test_lists_of_copernicus_bench_that_do_not_fit(
    tmp_path: Path, lists: dict[str, str], error: type[Exception], message: str
) -> None:
    write_copernicus(tmp_path, **lists)
    with pytest.raises(error, match=message):
        DFC2020Patches(tmp_path, 'copernicus-val')


def test_another_packaging_than_the_split_needs(tmp_path: Path) -> None:
    public = write_public(tmp_path / 'b', PUBLIC)
    copernicus = write_copernicus(tmp_path / 'c')
    zips = write_phase(tmp_path / 'a', '{kind}_0', 'test')
    for root, split, message in (
        (public, 'val', r"can only be split 'all': which .* is not published"),
        (public, 'copernicus-val', 'DFC_Public_Dataset is there'),
        (copernicus, 'test', "copernicus-test, all cut from the contest's test phase"),
        (copernicus, 'all', 'Copernicus-Bench is there'),
        (zips, 'val', "got only dfc_0, s1_0, s2_0. .* split 'test'"),
        (zips, 'all', "test phase is there: split 'test'"),
    ):
        with pytest.raises(DatasetNotFoundError, match=message):
            DFC2020Patches(root, split)


@pytest.mark.parametrize(
    ('split', 'looked_for'),
    [
        ('val', 'ROIs0000_validation/s2_validation'),
        ('test', 'ROIs0000_test/s2_0'),
        ('all', 'DFC_Public_Dataset'),
        ('copernicus-train', 'dfc2020_s1s2'),
    ],
)
def test_nothing_to_read(tmp_path: Path, split: str, looked_for: str) -> None:
    with pytest.raises(DatasetNotFoundError, match=f'{looked_for}.*, got an empty'):
        DFC2020Patches(tmp_path, split)
    with pytest.raises(DatasetNotFoundError, match=f'{looked_for}.*no such folder'):
        DFC2020Patches(tmp_path / 'no', split)

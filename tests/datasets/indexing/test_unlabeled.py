"""Directories of images without labels."""

from pathlib import Path

import pytest
from torchgeo.datasets import DatasetNotFoundError

from dfc2020_geo.datasets import UnlabeledPatches
from tests.support.trees import write, write_unlabeled


def ids(dataset: UnlabeledPatches) -> list[str]:
    return [files.id for files in dataset.files]


@pytest.mark.parametrize(
    ('s1', 's2', 'prediction'),
    [
        ('a_s1_1.tif', 'a_s2_1.tif', 'a_pred_1'),
        ('a_1.tif', 'a_1.tif', 'a_1'),
        ('a_s2_1.tif', 'a_s2_1.tif', 'a_pred_1'),
        ('a_s1_1.tif', 'a_s1_1.tif', 'a_s1_1'),
        ('a_s1_1.TIF', 'a_s2_1.tiff', 'a_pred_1'),
        ('a_s1_b_s1_1.tif', 'a_s2_b_s2_1.tif', 'a_pred_b_pred_1'),
        ('lake_dfc_s1_lc_1.tif', 'lake_dfc_s2_lc_1.tif', 'lake_dfc_pred_lc_1'),
        ('a.b_s1_1.tif', 'a.b_s2_1.tif', 'a.b_pred_1'),
    ],
)
def test_names_match(tmp_path: Path, s1: str, s2: str, prediction: str) -> None:
    write(tmp_path / 's1' / s1, 's1')
    write(tmp_path / 's2' / s2, 's2')
    dataset = UnlabeledPatches(tmp_path)
    assert [(f.id, f.s1.name, f.s2.name, f.label) for f in dataset.files] == [
        (Path(s2).stem, s1, s2, None)
    ]
    assert dataset.prediction_id(0) == prediction


def test_order_is_that_of_file_names(tmp_path: Path) -> None:
    names = ['p1.tif', 'p10.tif', 'p2.tif', 'p1-a.tif', 'P1.tif']
    write_unlabeled(tmp_path, *names)
    expected = ['P1', 'p1-a', 'p1', 'p10', 'p2']
    for bands in (['s1'], ['s2'], ['s1', 's2']):
        assert ids(UnlabeledPatches(tmp_path, bands)) == expected


def test_names_are_changed_in_the_file_name_only(tmp_path: Path) -> None:
    root = write_unlabeled(tmp_path / 'my_s2_root_s1_' / 's2_', 'a_{}_1.tif')
    assert UnlabeledPatches(root)[0]['image'].shape == (12, 7, 5)


@pytest.mark.parametrize('sensor', ['s1', 's2'])
def test_only_the_needed_folder_must_exist(tmp_path: Path, sensor: str) -> None:
    write(tmp_path / sensor / f'a_{sensor}_1.tif', sensor)
    dataset = UnlabeledPatches(tmp_path, bands=[sensor])
    assert ids(dataset) == ['a_s2_1']
    assert dataset.prediction_id(0) == 'a_pred_1'
    other = 's2' if sensor == 's1' else 's1'
    with pytest.raises(
        DatasetNotFoundError, match=rf'GeoTIFFs in s2/ and s1/ in .*, got only {sensor}'
    ):
        UnlabeledPatches(tmp_path, bands=['s1', 's2'])
    with pytest.raises(DatasetNotFoundError, match=f'GeoTIFFs in {other}/ in'):
        UnlabeledPatches(tmp_path, bands=[other])


def test_unneeded_files_are_not_checked(tmp_path: Path) -> None:
    write_unlabeled(tmp_path, 'a_{}_1.tif')
    write(tmp_path / 's1/b_s1_1.tif', 's1')
    assert len(UnlabeledPatches(tmp_path, bands=['s2'])) == 1


@pytest.mark.parametrize(('has', 'lacks'), [('s1', 's2'), ('s2', 's1')])
def test_missing_twins_are_counted_and_named(
    tmp_path: Path, has: str, lacks: str
) -> None:
    write_unlabeled(tmp_path, 'a_{}_1.tif')
    for i in range(4):
        write(tmp_path / has / f'b_{has}_{i}.tif', has)
    names = ', '.join(rf'b_{has}_{i}\.tif' for i in range(3))
    with pytest.raises(
        DatasetNotFoundError,
        match=rf'4 {has} files without {lacks} \({names} and 1 more\)',
    ):
        UnlabeledPatches(tmp_path)


def test_junk_beside_the_files_is_not_read(tmp_path: Path) -> None:
    write_unlabeled(tmp_path, 'a_{}_1.tif')
    for name in ('._a_s2_1.tif', '.DS_Store', 'a_s2_1.tif.aux.xml', 'b.png', 'b.jp2'):
        (tmp_path / 's2' / name).write_bytes(b'junk')
    write(tmp_path / 's2/more/b_s2_1.tif', 's2')
    assert ids(UnlabeledPatches(tmp_path)) == ['a_s2_1']


def test_two_files_of_one_name(tmp_path: Path) -> None:
    write_unlabeled(tmp_path, 'a.tif')
    write(tmp_path / 's2/a.TIFF', 's2')
    with pytest.raises(
        RuntimeError, match=r'one s2 file of patch a, got .*a\.TIFF and'
    ):
        UnlabeledPatches(tmp_path)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetNotFoundError, match=r'in s2/ and s1/ in .* no such folder'
    ):
        UnlabeledPatches(tmp_path / 'no')
    with pytest.raises(
        DatasetNotFoundError, match=r'in s1/ in .*, got an empty folder'
    ):
        UnlabeledPatches(tmp_path, bands=['s1'])

"""Order and content of the 2020 baseline's samples."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dfc2020_geo.datasets import (
    DFC2020Patches,
    PatchDataset,
    SEN12MSPatches,
    UnlabeledPatches,
)
from tests.support import DATA

SAMPLES = np.load(DATA / 'samples.npz')
ORDER = json.loads((DATA / 'sample_order.json').read_text())

#: The baseline's names of bands, in its files' order.
BANDS = {
    's1': ['s1'],
    's2hr': ['s2-10m'],
    's2mr': ['s2-20m'],
    's2lr': ['s2-60m'],
    's1_s2hr_s2mr': ['s1', 's2-10m', 's2-20m'],
    'all': ['s1', 's2'],
}

Make = Callable[..., PatchDataset]


@pytest.fixture
def make(baseline_tree: Path, request: pytest.FixtureRequest) -> Make:
    def make_dataset(name: str, **settings: object) -> PatchDataset:
        data, _, split = name.partition('_')
        if data == 'sen12ms':
            return SEN12MSPatches(baseline_tree / 'sen12ms', split, **settings)
        if data == 'dfc2020':
            return DFC2020Patches(baseline_tree / 'dfc2020', split, **settings)
        return UnlabeledPatches(baseline_tree / 'tiffs', **settings)

    return make_dataset


@pytest.mark.parametrize('name', ORDER)
def test_patches_are_in_the_baselines_order(name: str, make: Make) -> None:
    files = make(name).files
    assert [patch.id for patch in files] == [Path(file).stem for file in ORDER[name]]
    assert [patch.s2.name for patch in files] == ORDER[name]


@pytest.mark.parametrize('name', [name for name in ORDER if name != 'tiff_dir'])
@pytest.mark.parametrize(
    ('legend', 'scheme'), [('savanna', 'dfc2020'), ('no_savanna', 'dfc2020-no-savanna')]
)
def test_masks_equal_the_baselines(
    name: str, legend: str, scheme: str, make: Make
) -> None:
    dataset = make(name, scheme=scheme)
    assert len(dataset.scheme) == SAMPLES[f'{name}/{legend}/n_classes']
    for index in (0, len(dataset) - 1):
        mask = dataset[index]['mask'].numpy()
        np.testing.assert_array_equal(mask, SAMPLES[f'{name}/{legend}/{index}/label'])


@pytest.mark.parametrize('name', ORDER)
@pytest.mark.parametrize('bands', BANDS)
def test_images_equal_the_baselines_before_scaling(
    name: str, bands: str, make: Make
) -> None:
    dataset = make(name, bands=BANDS[bands])
    is_s2 = np.array([band.sensor == 's2' for band in dataset.bands])
    for index in (0, len(dataset) - 1):
        image = dataset[index]['image'][:, ::6, ::6].numpy()
        expected = SAMPLES[f'{name}/{bands}/{index}/image']
        assert image.shape == expected.shape
        scaled = image[is_s2].clip(0, 10_000) / np.float32(10_000)
        np.testing.assert_array_equal(scaled, expected[is_s2])
        scaled = np.nan_to_num(image[~is_s2]).clip(-25, 0) / np.float32(25) + 1
        np.testing.assert_array_equal(scaled, expected[~is_s2])


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('sen12ms_holdout', 'ROIs1158_spring_lc_63_p100'),
        ('dfc2020_val', 'ROIs0000_validation_dfc_0_p0'),
        ('dfc2020_test', 'ROIs0000_test_dfc_0_p0'),
        ('tiff_dir', 'image_pred_001'),
    ],
)
def test_class_maps_have_the_baselines_names(
    name: str, expected: str, make: Make
) -> None:
    assert make(name).prediction_id(0) == expected


def test_a_name_without_a_sensor_stays(make: Make) -> None:
    assert make('tiff_dir').prediction_id(-1) == 'plain_007'

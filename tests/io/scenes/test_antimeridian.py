"""Scenes across 180 degrees, whose longitudes are counted in several ways."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import from_origin

from dfc2020_geo.datasets import (
    LabelScenes,
    Sentinel1Scenes,
    Sentinel2Scenes,
    open_scenes,
)
from dfc2020_geo.io.scenes import open_scene
from tests.support.scene_files import decibels, noise, write

#: CRS, left, top, res: the same ground, seen from either side and in degrees.
GROUNDS = {
    'zone60': ('EPSG:32660', 724_000, 5_298_000, 10),
    'past': ('EPSG:4326', 179.99, 47.795, 0.0001),
    'before': ('EPSG:4326', -180.01, 47.795, 0.0001),
}

#: The same, and more ground around it.
AROUND = {
    'zone60': ('EPSG:32660', 720_003, 5_301_002, 10),
    'zone1': ('EPSG:32601', 272_500, 5_303_000, 10),
    'past': ('EPSG:4326', 179.94, 47.83, 0.0001),
    'before': ('EPSG:4326', -180.06, 47.83, 0.0001),
    'before_coarse': ('EPSG:4326', -180.06, 47.83, 0.0002),
}


def write_ground(path: Path, image: np.ndarray, name: str) -> Path:
    crs, left, top, res = (GROUNDS if path.stem == 's2' else AROUND)[name]
    return write(path, image, crs=crs, transform=from_origin(left, top, res, res))


@pytest.mark.parametrize(('s2', 's1'), list(product(GROUNDS, AROUND)))
def test_nothing_is_lost_and_training_reads_what_a_map_does(
    tmp_path: Path, s2: str, s1: str
) -> None:
    scene_s2 = write_ground(tmp_path / 's2.tif', noise(13, 60, 70), s2)
    scene_s1 = write_ground(tmp_path / 's1.tif', decibels(900, 1100), s1)
    codes = np.full((1, 900, 1100), 3, np.uint8)
    labels = write_ground(tmp_path / 'labels.tif', codes, s1)
    bands = ['B04', 's1']
    scene = open_scene(scene_s2, scene_s1, bands=bands)
    image, valid = scene.read((0, 60), (0, 70))
    assert valid.all()
    images = {'s2': (Sentinel2Scenes, scene_s2), 's1': (Sentinel1Scenes, scene_s1)}
    [joined] = open_scenes(images, labels, bands, 'dfc2020', 'dfc2020')
    (left, top), (right, bottom) = (
        joined.grid.transform @ corner for corner in ((0, 0), (70, 60))
    )
    sample = joined[left:right, bottom:top]
    assert np.array_equal(sample['image'].numpy(), image)
    assert (sample['mask'] == 2).all()


def test_each_in_degrees_joined_by_hand(tmp_path: Path) -> None:
    s2 = write_ground(tmp_path / 's2.tif', noise(13, 60, 70), 'past')
    labels = np.full((1, 900, 1100), 3, np.uint8)
    labels = write_ground(tmp_path / 'labels.tif', labels, 'before')
    joined = Sentinel2Scenes(s2, bands=['B04']) & LabelScenes(labels)
    left, top = joined.grid.transform @ (0, 0)
    right, bottom = joined.grid.transform @ (70, 60)
    assert (joined[left:right, bottom:top]['mask'] == 2).all()

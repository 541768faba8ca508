"""A scale and an offset that tags declare of Sentinel-2 count, unless others do."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from dfc2020_geo.io.scenes import open_scene

BANDS = ('B02', 'B03', 'B04', 'B08')
STORED = 1500


def _write(path: Path, scales: tuple[float, ...], offsets: tuple[float, ...]) -> Path:
    with rasterio.open(
        path, 'w', driver='GTiff', height=8, width=9, count=4, dtype='uint16',
        crs='EPSG:32632', transform=from_origin(6e5, 5e6, 10, 10),
    ) as raster:  # fmt: skip
        raster.write(np.full((4, 8, 9), STORED, np.uint16))
        raster.descriptions = BANDS
        raster.scales, raster.offsets = scales, offsets
    return path


@pytest.mark.parametrize(
    ('scale', 'offset', 'expected'),
    [
        (0.0001, -0.1, STORED - 1000),
        (0.0001, 0, STORED),
        (1, -1000, STORED - 1000),
        (0.0002, -0.1, 2 * STORED - 1000),
        (2, -1000, 2 * STORED - 1000),
    ],
)
def test_declared_numbers_are_applied_and_told(
    tmp_path: Path, scale: float, offset: float, expected: float
) -> None:
    path = _write(tmp_path / 'a.tif', (scale,) * 4, (offset,) * 4)
    scene = open_scene(path, bands=BANDS)
    image, valid = scene.read((0, 8), (0, 9))
    assert valid.all()
    np.testing.assert_allclose(image, expected)
    notes = '\n'.join(scene.notes)
    assert 'as the tags of a.tif declare' in notes
    assert 'not applied' not in notes
    assert 'say nothing' not in notes


def test_each_band_has_its_own_offset(tmp_path: Path) -> None:
    path = _write(tmp_path / 'a.tif', (0.0001,) * 4, (-0.1, -0.1, 0, 0))
    image, _ = open_scene(path, bands=BANDS).read((0, 8), (0, 9))
    np.testing.assert_allclose(image[:, 0, 0] - STORED, [-1000, -1000, 0, 0])


def test_what_the_user_gives_counts_before_tags(tmp_path: Path) -> None:
    path = _write(tmp_path / 'a.tif', (0.0001,) * 4, (-0.1,) * 4)
    scene = open_scene(path, bands=BANDS, s2_offset=0)
    assert (scene.read((0, 8), (0, 9))[0] == STORED).all()
    assert 'which is not applied' in '\n'.join(scene.notes)


@pytest.mark.parametrize(
    ('scales', 'offsets'),
    [((1, 1, 2, 1), (0,) * 4), ((-1,) * 4, (0,) * 4), ((1,) * 4, (float('inf'),) * 4)],
)
def test_tags_that_make_no_sense_are_refused(
    tmp_path: Path, scales: tuple[float, ...], offsets: tuple[float, ...]
) -> None:
    path = _write(tmp_path / 'a.tif', scales, offsets)
    with pytest.raises(RuntimeError, match='declare one scale') as error:
        open_scene(path, bands=BANDS)
    assert str(path) in str(error.value)

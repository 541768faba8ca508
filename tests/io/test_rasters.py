"""Rasters: what fails while one is open is told with its name."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.warp import reproject

from dfc2020_geo.io.rasters import open_raster, write_image

MARS = '+proj=longlat +a=3396190 +b=3376200 +no_defs'


def test_errors_that_rasterio_keeps_private_are_told_with_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / 'image.tif'
    place = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    write_image(path, np.ones((1, 8, 8), np.uint8), 'EPSG:32632', place)
    there = {'dst_transform': Affine.scale(1e-4), 'dst_crs': MARS}
    with (
        pytest.raises(RuntimeError, match=f'damaged .*{re.escape(str(path))} .*CRS'),
        open_raster(path) as raster,
    ):
        reproject(rasterio.band(raster, 1), np.empty((8, 8), np.uint8), **there)

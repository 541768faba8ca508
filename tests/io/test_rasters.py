"""Rasters: what fails while one is open is told with its name."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.shutil import copy  # ty: ignore[import-not-found] (compiled)
from rasterio.warp import reproject

from dfc2020_geo.io.rasters import open_raster, read_grid, read_raw, write_image
from dfc2020_geo.io.scenes import open_scene

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


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='this system has no pipes')
@pytest.mark.parametrize('name', ['a.tif', 'a.jp2', 'a.zip'])
def test_a_pipe_is_refused_in_place_of_waiting_for_it(
    name: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / name)
    for path in (str(tmp_path / name), f'/vsizip/{tmp_path / name}/b.tif'):
        with pytest.raises(RuntimeError, match=rf'{name}.* \(a pipe or device, not'):
            open_scene(path, bands=['s2'])
        with pytest.raises(RuntimeError, match=r'a pipe or device'), open_raster(path):
            pass


@pytest.mark.parametrize('name', ['recipe.tif', 'recipe.vrt'])
def test_recipes_among_patches_are_not_followed(tmp_path: Path, name: str) -> None:
    image = tmp_path / 'image.tif'
    write_image(image, np.ones((1, 8, 8), np.uint8))
    recipe = tmp_path / name
    with rasterio.open(image) as raster:
        copy(raster, recipe, driver='VRT')
    with open_raster(recipe) as raster:
        assert raster.driver == 'VRT'
    for read in (read_grid, lambda path: read_raw(path, [1])):
        with pytest.raises(RuntimeError, match=f'readable raster, got .*{name}'):
            read(recipe)

"""Finished rows of small scenes."""

from pathlib import Path
from typing import Any

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS

from dfc2020_geo.classes import SCHEMES
from dfc2020_geo.inference.maps import MapRows, open_rows
from dfc2020_geo.io.grid import RasterGrid

SCHEME = SCHEMES['dfc2020']

#: Scenes that differ in what readers and writers get wrong.
GRIDS = {
    'UTM north': RasterGrid(
        CRS.from_epsg(32632), Affine(10, 0, 5e5, 0, -10, 5e6), 70, 60
    ),
    'UTM south': RasterGrid(
        CRS.from_epsg(32733), Affine(20, 0, 4e5, 0, -20, 7e6), 530, 21
    ),
    'rotated': RasterGrid(CRS.from_epsg(32632), Affine(8, 6, 5e5, 6, -8, 5e6), 33, 40),
    'south up': RasterGrid(
        CRS.from_epsg(32632), Affine(10, 0, 5e5, 0, 10, 5e6), 33, 40
    ),
    'degrees': RasterGrid(
        CRS.from_epsg(4326), Affine(0.01, 0, 10, 0, -0.01, 60), 40, 90
    ),
    'one row': RasterGrid(
        CRS.from_epsg(32632), Affine(10, 0, 5e5, 0, -10, 5e6), 1, 700
    ),
    'one pixel': RasterGrid(
        CRS.from_epsg(32632), Affine(10, 0, 5e5, 0, -10, 5e6), 1, 1
    ),
    'antimeridian': RasterGrid(
        CRS.from_epsg(32660), Affine(2e3, 0, 6e5, 0, -2e3, 7e6), 20, 90
    ),
    'no EPSG code': RasterGrid(
        CRS.from_string('+proj=laea +lat_0=52 +lon_0=10'), Affine.scale(10, -10), 30, 40
    ),
}


def make_layers(grid: RasterGrid, seed: int = 0) -> dict[str, np.ndarray]:
    """Make codes in patches, with a corner without data, and random shares."""
    random = np.random.default_rng(seed)
    size = (grid.height, grid.width)
    small = random.integers(1, 11, (-(-size[0] // 5), -(-size[1] // 5)))
    codes = np.kron(small, np.ones((5, 5)))[: size[0], : size[1]].astype(np.uint8)
    shares = random.integers(0, 251, (10, *size)).astype(np.uint8)
    if min(size) > 8:
        codes[:7, :7], shares[:, :7, :7] = 0, 255
    return {'classes': codes, 'probabilities': shares, 'confidence': shares.max(0)}


def begin(
    output: Path, grid: RasterGrid, overwrite: bool = False, **settings: Any
) -> MapRows:
    layers = ['probabilities', 'confidence']
    return open_rows(output, grid, SCHEME, layers, settings, overwrite)


def write_rows(parts: MapRows, layers: dict[str, np.ndarray], step: int = 13) -> None:
    height = parts.grid.height
    for start in range(0, height, step):
        stop = min(start + step, height)
        rows = {name: array[..., start:stop, :] for name, array in layers.items()}
        parts.write(start, stop, rows)

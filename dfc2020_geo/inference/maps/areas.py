"""True areas on grids of any projection."""

from collections import Counter
from functools import cache

import numpy as np
from geopandas import GeoSeries
from pyproj import CRS, Geod
from rasterio.io import DatasetReader
from shapely.geometry import Polygon, shape

from ...io.grid import RasterGrid
from ...io.rasters import grid_of
from .footprint import footprint

#: By how much the areas of a projection may differ from those on the Earth.
_TOLERANCE = 0.01

#: Rows that are counted in one go.
_ROWS = 512


def true_areas(geometries: GeoSeries, grid: RasterGrid) -> np.ndarray:
    """Return the areas of polygons whose corners are corners of pixels.

    Args:
        geometries: Polygons in the CRS of the grid.
        grid: The pixels.

    Returns:
        Square metres: those of the grid's own projection where these are true to a
        percent, as in UTM; else those of an equal-area projection of the same
        ellipsoid, where the sides of pixels along parallels stay straight.
    """
    flat = _flat_factor(grid)
    if flat is not None:
        return geometries.area.to_numpy() * flat
    return geometries.to_crs(_equal_area(grid)).area.to_numpy()


def measure(raster: DatasetReader) -> Counter[int]:
    """Measure the areas of the codes in a raster.

    Args:
        raster: Raster of codes, uint8.

    Returns:
        Square metres by code, as :func:`true_areas` has them.
    """
    grid = grid_of(raster)
    pixels = _pixel_areas(grid)
    areas = np.zeros(256)
    for start in range(0, grid.height, _ROWS):
        stop = min(start + _ROWS, grid.height)
        codes = raster.read(1, window=((start, stop), (0, grid.width)))
        counts = np.stack([np.bincount(row, minlength=256) for row in codes])
        areas += pixels[start:stop] @ counts
    return Counter({int(code): float(areas[code]) for code in np.flatnonzero(areas)})


def _pixel_areas(grid: RasterGrid) -> np.ndarray:
    """Return the area of the pixels of each row, on the average."""
    width = grid.width
    outlines = [
        Polygon(grid.coordinates([0, 0, width, width], [row, row + 1, row + 1, row]))
        for row in range(grid.height if _flat_factor(grid) is None else 1)
    ]
    areas = true_areas(GeoSeries(outlines, crs=grid.crs.to_wkt()), grid) / width
    return np.broadcast_to(areas, grid.height)


@cache
def _flat_factor(grid: RasterGrid) -> float | None:
    """Return what areas in the CRS are to be multiplied by; None if they are false."""
    if not grid.crs.is_projected:
        return None
    factor = grid.crs.linear_units_factor[1] ** 2
    flat = shape(grid.outline()).area * factor
    true, _ = _geod(grid).geometry_area_perimeter(shape(footprint(grid)))
    return factor if abs(flat / abs(true) - 1) <= _TOLERANCE else None


def _geod(grid: RasterGrid) -> Geod:
    geod = CRS(grid.crs.to_wkt()).get_geod()
    assert geod is not None, 'a CRS on the Earth has an ellipsoid'
    return geod


def _equal_area(grid: RasterGrid) -> CRS:
    geod, geometry = _geod(grid), footprint(grid)
    middle = shape(geometry).representative_point().x
    return CRS(f'+proj=cea +a={geod.a} +b={geod.b} +lon_0={middle} +units=m')

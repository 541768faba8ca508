"""A map as polygons, and the true areas of its classes on grids of any projection."""

import os
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import cache
from itertools import batched
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyogrio
import rasterio
from geopandas import GeoDataFrame, GeoSeries
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from pyproj import CRS, Geod
from rasterio.features import shapes
from rasterio.io import DatasetReader
from shapely.geometry import Polygon, shape

from ...classes import ClassScheme
from ...io.atomic import UNFINISHED
from ...io.grid import RasterGrid
from ...io.rasters import grid_of, open_raster
from .stac import footprint

#: Polygons that are written in one go.
_BATCH = 20_000

#: Rows that are counted in one go.
_ROWS = 512

#: By how much the areas of a projection may differ from those on the Earth.
_TOLERANCE = 0.01

#: Square metres of a hectare.
_HECTARE = 10_000

#: A GeoPackage holds the time of its last change; this one, so that equal maps give
#: equal files.
_CHANGED = '2020-01-01T00:00:00.000Z'


def measure_areas(path: Path | str, scheme: ClassScheme) -> dict[int, float]:
    """Measure the areas of the classes in a map.

    Args:
        path: Raster of codes.
        scheme: The scheme whose legend they follow.

    Returns:
        Hectares by code, of the classes that occur, in the order of their codes.

    Raises:
        RuntimeError: If the file cannot be read.
    """
    with open_raster(path) as raster:
        areas = measure(raster)
    return {
        code: area / _HECTARE
        for code, area in areas.items()
        if code != scheme.legend.nodata
    }


def write_polygons(path: Path | str, output: Path | str, scheme: ClassScheme) -> None:
    """Write a map as polygons into a GeoPackage, complete or not at all.

    Its table ``polygons`` has the outline of each patch of one class (pixels that share
    a side) with ``code``, ``name`` and ``area_ha``; its table ``areas`` has their number
    and sum by class. Memory grows with the number of polygons.

    Args:
        path: Raster of codes.
        output: File to write; an older one is replaced.
        scheme: The scheme whose legend the codes follow.

    Raises:
        OSError: If it cannot be written.
        RuntimeError: If the map cannot be read.
    """
    output = Path(output)
    # GDAL's polygons say nothing of a raster that cannot be read to its end; this does.
    areas = measure_areas(path, scheme)
    with TemporaryDirectory(UNFINISHED, f'{output.name}.', output.parent) as directory:
        unfinished = Path(directory) / 'polygons.gpkg'
        try:
            with _dated(), open_raster(path) as raster:
                numbers = _write_outlines(unfinished, raster, scheme)
            with _dated():
                _write_areas(unfinished, areas, numbers, scheme)
        except (DataSourceError, DataLayerError, FeatureError) as error:
            raise OSError(str(error)) from error
        os.replace(unfinished, output)


def _write_outlines(
    path: Path, raster: DatasetReader, scheme: ClassScheme
) -> Counter[int]:
    """Write the polygons, and return their number by code."""
    grid = grid_of(raster)
    found = (
        (int(code), outline)
        for outline, code in shapes(rasterio.band(raster, 1))
        if code != scheme.legend.nodata
    )
    options: dict[str, Any] = {'layer': 'polygons', 'geometry_type': 'Polygon'}
    pyogrio.write_dataframe(_frame([], grid, scheme), path, **options)
    numbers = Counter[int]()
    for batch in batched(found, _BATCH):
        pyogrio.write_dataframe(
            _frame(batch, grid, scheme), path, append=True, **options
        )
        numbers.update(code for code, _ in batch)
    written = pyogrio.read_info(path, layer='polygons')['features']
    if written != numbers.total():
        raise OSError(f'only {written} of {numbers.total()} polygons in {path}')
    return numbers


def _frame(
    batch: Iterable[tuple[int, dict[str, Any]]], grid: RasterGrid, scheme: ClassScheme
) -> GeoDataFrame:
    batch = list(batch)
    geometries = GeoSeries([shape(outline) for _, outline in batch])
    geometries = geometries.set_crs(grid.known_crs.to_wkt())
    codes = [code for code, _ in batch]
    frame = GeoDataFrame(_columns(codes, scheme), geometry=geometries)
    frame['area_ha'] = true_areas(geometries, grid) / _HECTARE
    return frame


def _columns(codes: list[int], scheme: ClassScheme) -> dict[str, Any]:
    names = scheme.legend.names
    found = np.array([names[code] for code in codes], object)
    return {'code': np.array(codes, np.int32), 'name': found}


def _write_areas(
    path: Path, areas: dict[int, float], numbers: Counter[int], scheme: ClassScheme
) -> None:
    columns = _columns(list(areas), scheme) | {
        'polygons': [numbers[code] for code in areas],
        'area_ha': list(areas.values()),
    }
    table = GeoDataFrame(columns, geometry=[None] * len(areas)).drop(columns='geometry')
    pyogrio.write_dataframe(table, path, layer='areas', append=True)


@contextmanager
def _dated() -> Generator[None]:
    """Let a GeoPackage take :data:`_CHANGED` for the time of its last change."""
    pyogrio.set_gdal_config_options({'OGR_CURRENT_DATE': _CHANGED})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({'OGR_CURRENT_DATE': None})


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
    areas = true_areas(GeoSeries(outlines, crs=grid.known_crs.to_wkt()), grid) / width
    return np.broadcast_to(areas, grid.height)


@cache
def _flat_factor(grid: RasterGrid) -> float | None:
    """Return what areas in the CRS are to be multiplied by; None if they are false."""
    if not grid.known_crs.is_projected:
        return None
    factor = grid.known_crs.linear_units_factor[1] ** 2
    flat = shape(grid.outline()).area * factor
    true, _ = _geod(grid).geometry_area_perimeter(shape(footprint(grid)))
    return factor if abs(flat / abs(true) - 1) <= _TOLERANCE else None


def _geod(grid: RasterGrid) -> Geod:
    geod = CRS(grid.known_crs.to_wkt()).get_geod()
    assert geod is not None, 'a CRS on the Earth has an ellipsoid'
    return geod


def _equal_area(grid: RasterGrid) -> CRS:
    geod, geometry = _geod(grid), footprint(grid)
    middle = shape(geometry).representative_point().x
    return CRS(f'+proj=cea +a={geod.a} +b={geod.b} +lon_0={middle} +units=m')

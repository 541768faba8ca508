"""A map as polygons, and the areas of its classes."""

import os
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from itertools import batched
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyogrio
import rasterio
from geopandas import GeoDataFrame, GeoSeries
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from rasterio.features import shapes
from rasterio.io import DatasetReader
from shapely.geometry import shape

from ...classes import ClassScheme
from ...io.atomic import UNFINISHED
from ...io.grid import RasterGrid
from ...io.rasters import grid_of, open_raster
from .areas import measure, true_areas

#: Polygons that are written in one go.
_BATCH = 20_000

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
    geometries = geometries.set_crs(grid.crs.to_wkt())
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

"""Files of a map from its finished rows: Cloud Optimised GeoTIFFs and what lies beside."""

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from rasterio.io import DatasetWriter
from rasterio.shutil import copy  # ty: ignore[import-not-found] (compiled)

from ...classes import ClassScheme
from ...io.atomic import UNFINISHED, replacing
from ...io.grid import RasterGrid
from ...io.rasters import (
    GDAL_ERRORS,
    create_raster,
    describe_classes,
    open_raster,
    with_categories,
)
from .layers import (
    FRACTION_NODATA,
    FRACTION_SCALE,
    MapLayer,
    find_outputs,
    item_path,
    layer_paths,
    polygons_path,
    sidecar_path,
    style_path,
    write_style,
)
from .polygons import write_polygons
from .rows import MapRows, explain
from .stac import AcquisitionTime, make_item, write_item

#: Side of a block, in pixels.
_BLOCK = 512

#: Level 1 takes a third of the time of 6 and a tenth more room.
_OPTIONS = {
    'compress': 'DEFLATE',
    'level': 1,
    'blocksize': _BLOCK,
    'bigtiff': 'IF_SAFER',
    'num_threads': 'ALL_CPUS',
}

#: Memory for blocks, in place of a fraction of the machine's; sidecars even where the
#: environment forbids them, since names of classes are in one.
_ENVIRONMENT = {'GDAL_CACHEMAX': 64 * 2**20, 'GDAL_PAM_ENABLED': True}


def finish_map(
    rows: MapRows,
    tags: Mapping[str, str],
    taken: AcquisitionTime | None = None,
    polygons: bool = False,
) -> list[Path]:
    """Make the files of a map, once all of its rows are there.

    Everything is written in the work directory and then moved to its place, the map
    itself at the end: if it is there, the rest is. The rows stay, for the caller to
    remove once no map is to be resumed.

    Args:
        rows: The rows.
        tags: Texts by name: weights, version, bands and the like.
        taken: When its images were taken; without it, there is no STAC item.
        polygons: Whether to write polygons as well.

    Returns:
        The files, the map itself at the end.

    Raises:
        OSError: If they cannot be written; the message says what to do.
        RuntimeError: If rows are missing.
    """
    try:
        with TemporaryDirectory(UNFINISHED, dir=rows.directory) as directory:
            draft = Path(directory) / rows.output.name
            _write_rasters(rows, draft, tags)
            if polygons:
                write_polygons(draft, polygons_path(draft), rows.scheme)
            if taken is not None:
                item = make_item(
                    draft, rows.grid, rows.scheme, rows.layers, taken, tags, polygons
                )
                write_item(item_path(draft), item)
            return _move(rows, draft)
    except OSError as error:
        raise explain(error, rows.output) from error


def _write_rasters(rows: MapRows, draft: Path, tags: Mapping[str, str]) -> None:
    for layer, path in layer_paths(draft, rows.layers).items():
        stored = rows.read(layer.name)
        write_cog(path, stored, rows.grid, layer, rows.scheme, tags)
        write_style(style_path(path), layer, rows.scheme)


def _move(rows: MapRows, draft: Path) -> list[Path]:
    """Move what is written to its place, and return where."""
    moved = []
    for path in reversed(find_outputs(draft)):
        target = rows.output.with_name(path.name)
        os.replace(path, target)
        moved.append(target)
    return moved


def write_cog(
    path: Path,
    chunks: Iterable[np.ndarray],
    grid: RasterGrid,
    layer: MapLayer,
    scheme: ClassScheme,
    tags: Mapping[str, str],
) -> None:
    """Write a layer as a Cloud Optimised GeoTIFF, complete or not at all.

    Codes come with palette and class names, and their overviews hold the commonest
    code; fractions with scale, so that GIS programs show 0 to 1, and averaged overviews.
    Equal layers give equal files.

    Args:
        path: File to write. An uncompressed one is made beside it on the way.
        chunks: The rows in their order, uint8, of shape ``(bands, rows, W)``.
        grid: The pixels.
        layer: What they show.
        scheme: The classes of the map.
        tags: Texts by name, for the file.

    Raises:
        OSError: If it cannot be written.
    """
    plain = path.with_name(f'{path.stem}.rows{path.suffix}').absolute()
    try:
        with rasterio.Env(**_ENVIRONMENT), replacing(path) as unfinished:
            expected = _write_rows(plain, chunks, grid, layer, scheme, tags)
            _copy(plain, unfinished, layer, scheme)
            if _sum_up(_read_rows(unfinished), layer) != expected:
                raise OSError(f'other rows than were written in {unfinished}')
            if (sidecar := sidecar_path(unfinished)).exists():
                os.replace(sidecar, sidecar_path(path))
    except GDAL_ERRORS as error:
        raise OSError(str(error.__cause__ or error)) from error
    finally:
        plain.unlink(missing_ok=True)


def _write_rows(
    path: Path,
    chunks: Iterable[np.ndarray],
    grid: RasterGrid,
    layer: MapLayer,
    scheme: ClassScheme,
    tags: Mapping[str, str],
) -> list[int]:
    """Write all rows uncompressed, and return their checksums."""
    with create_raster(path, **_profile(grid, layer, scheme)) as raster:
        _describe(raster, layer, scheme, tags)
        sums = _sum_up(_writing(raster, chunks), layer)
    size, least = path.stat().st_size, grid.height * grid.width * len(layer.bands)
    if size < least:
        raise OSError(f'only {size} of {least} bytes in {path}')
    return sums


def _profile(grid: RasterGrid, layer: MapLayer, scheme: ClassScheme) -> dict[str, Any]:
    return {
        'driver': 'GTiff',
        'count': len(layer.bands),
        'dtype': 'uint8',
        **grid.profile,
        'nodata': FRACTION_NODATA if layer.is_fraction else scheme.legend.nodata,
        'interleave': 'band',
        # Overviews of tiles are made in half the time of those of single rows.
        'tiled': True,
        'blockxsize': _BLOCK,
        'blockysize': _BLOCK,
        'bigtiff': 'if_needed',
    }


def _describe(
    raster: DatasetWriter, layer: MapLayer, scheme: ClassScheme, tags: Mapping[str, str]
) -> None:
    raster.update_tags(**tags)
    raster.descriptions = layer.bands
    if layer.is_fraction:
        raster.scales = (FRACTION_SCALE,) * raster.count
    else:
        describe_classes(raster, scheme)


def _writing(
    raster: DatasetWriter, chunks: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    row = 0
    for chunk in chunks:
        rows = chunk.shape[1]
        raster.write(chunk, window=((row, row + rows), (0, raster.width)))
        row += rows
        yield chunk


def _copy(source: Path, target: Path, layer: MapLayer, scheme: ClassScheme) -> None:
    resampling = 'AVERAGE' if layer.is_fraction else 'MODE'
    name = str(source) if layer.is_fraction else with_categories(str(source), scheme)
    copy(name, target, driver='COG', overview_resampling=resampling, **_OPTIONS)


def _read_rows(path: Path) -> Iterator[np.ndarray]:
    try:
        with open_raster(path) as raster:
            for row in range(0, raster.height, _BLOCK):
                rows = (row, min(row + _BLOCK, raster.height))
                yield raster.read(window=(rows, (0, raster.width)))
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _sum_up(chunks: Iterable[np.ndarray], layer: MapLayer) -> list[int]:
    """Return the checksum of each band, whatever the chunks are.

    GDAL can lose what it writes when a file is closed, on a full disk, without a word.
    """
    sums = [0] * len(layer.bands)
    for chunk in chunks:
        sums = [zlib.crc32(b, s) for b, s in zip(chunk, sums, strict=True)]
    return sums

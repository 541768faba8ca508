"""Rasters read on the pixels of a grid, whatever their own grid, size or CRS is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.warp import reproject
from rasterio.warp import transform as transform_points
from rasterio.windows import Window

from ...io.grid import RasterGrid

#: Pixels by which grids may differ that are meant to be the same.
_TOLERANCE = 0.01


def read_on_grid(
    raster: DatasetReader,
    indexes: Sequence[int],
    pixels: RasterGrid,
    resampling: Resampling,
    unset: float | None,
) -> np.ndarray:
    """Read bands on the pixels of a grid.

    Values are the file's own where the pixels are its own, and resampled elsewhere.

    Args:
        raster: Raster to read from, open.
        indexes: Positions of the bands, counted from 1.
        pixels: The pixels to read.
        resampling: How a raster on another grid is brought to these pixels.
        unset: Value without data in rasters that declare none; None if every value
            is one.

    Returns:
        Array of shape ``(len(indexes), H, W)``, float32, NaN where there is no data
        and outside the raster.
    """
    origin = _origin(raster, pixels)
    if origin is None:
        return _warp(raster, indexes, pixels, resampling, unset)
    return _cut(raster, indexes, pixels, origin)


def _origin(raster: DatasetReader, pixels: RasterGrid) -> tuple[int, int] | None:
    """Find the first pixel's row and column in a raster, if it is one of its own."""
    if raster.crs != pixels.crs:
        return None
    a, b, c, d, e, f = (~raster.transform @ pixels.transform)[:6]
    drift = (abs(a - 1) + abs(d)) * pixels.width + (abs(e - 1) + abs(b)) * pixels.height
    if max(drift, abs(c - round(c)), abs(f - round(f))) > _TOLERANCE:
        return None
    return round(f), round(c)


def _cut(
    raster: DatasetReader,
    indexes: Sequence[int],
    pixels: RasterGrid,
    origin: tuple[int, int],
) -> np.ndarray:
    image = np.full((len(indexes), pixels.height, pixels.width), np.nan, np.float32)
    top, left = origin
    rows = slice(max(top, 0), min(top + pixels.height, raster.height))
    columns = slice(max(left, 0), min(left + pixels.width, raster.width))
    if rows.start < rows.stop and columns.start < columns.stop:
        stored = raster.read(list(indexes), window=Window.from_slices(rows, columns))
        inside = image[
            :,
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
        ]
        inside[:] = stored
        nodata = raster.nodata
        if nodata is not None and not np.isnan(nodata):
            inside[stored == nodata] = np.nan
    return image


def _warp(
    raster: DatasetReader,
    indexes: Sequence[int],
    pixels: RasterGrid,
    resampling: Resampling,
    unset: float | None,
) -> np.ndarray:
    # GDAL leaves what it does not reach as it is.
    image = np.full((len(indexes), pixels.height, pixels.width), np.nan, np.float32)
    reproject(
        rasterio.band(raster, list(indexes)),
        image,
        src_nodata=unset if raster.nodata is None else raster.nodata,
        dst_transform=pixels.transform,
        dst_crs=pixels.crs,
        dst_nodata=np.nan,
        init_dest_nodata=False,
        resampling=resampling,
        # No approximation, which would depend on the rectangle asked for.
        tolerance=0,
        # Without data is what lacks it in all bands.
        UNIFIED_SRC_NODATA='YES',
        **_scales(raster, pixels),
    )
    return image


def _scales(raster: DatasetReader, pixels: RasterGrid) -> dict[str, float]:
    """Say how many pixels there are for one of the raster, along both axes.

    GDAL would guess it from the outline, and smooth what is turned.
    """
    columns = pixels.width / 2 + np.array([0, 1, 0])
    rows = pixels.height / 2 + np.array([0, 0, 1])
    place: Any = pixels.transform
    x, y = place @ (columns, rows)
    x, y = map(np.asarray, transform_points(pixels.crs, raster.crs, x, y)[:2])
    inverse: Any = ~raster.transform
    columns, rows = inverse @ (x, y)
    steps = np.hypot(columns[1:] - columns[0], rows[1:] - rows[0])
    if not np.isfinite(steps).all() or steps.min() <= 0:
        return {}
    return {'XSCALE': 1 / steps[0], 'YSCALE': 1 / steps[1]}

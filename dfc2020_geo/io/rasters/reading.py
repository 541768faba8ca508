"""Reading bands of rasters: the one place that opens rasters for reading."""

import os
import re
import stat
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError  # ty: ignore[import-not-found] (compiled)
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from ..grid import RasterGrid
from ..tiffs import DamagedError, RawBands, fits, read_strips

#: What GDAL adds to the name of a raster for what its format cannot hold.
SIDECAR = '.aux.xml'

#: What the names of rasters of scenes end in, where a folder is searched.
SCENE_SUFFIXES = ('.tif', '.tiff', '.jp2', '.vrt')

#: What precedes the path of a file in GDAL's virtual paths.
_VIRTUAL = re.compile(r'(/vsi\w+/(\{|\d+_\d+,)?)+')

#: GDAL's driver of patches. Others follow what is written in a file to further files
#: and to addresses on the network, and a file's name does not tell.
_PATCH_DRIVER = 'GTiff'

#: Read a patch without looking for files beside it or for its place on Earth.
_ALONE = {
    'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR',
    'GDAL_GEOREF_SOURCES': 'NONE',
    'GDAL_PAM_ENABLED': 'NO',
}


#: What fails in GDAL; rasterio lets some of its errors through under private names.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)


def open_handle(
    path: Path | str, is_direct: bool = False, driver: str | None = None
) -> DatasetReader:
    """Open a raster for reading, until it is closed.

    Every raster that this package reads is opened here.

    Args:
        path: What GDAL opens: a file, a virtual path or the text of a VRT.
        is_direct: Whether GDAL leaves its cache of blocks out where it can, which takes
            half the time. It does not notice strips that are cut off then, only tiles.
        driver: Name of the one GDAL driver that may read it; by default any may.

    Returns:
        The open raster.

    Raises:
        RuntimeError: If it cannot be opened, or is a pipe or device; the message names
            it.
    """
    _require_file(path)
    env = rasterio.Env(GTIFF_DIRECT_IO=True) if is_direct else nullcontext()
    try:
        with warnings.catch_warnings(), env:
            # DFC2020 has no georeferencing, by design of the contest.
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            return rasterio.open(path, driver=driver)
    except GDAL_ERRORS as error:
        raise _unreadable(path, error.__cause__ or error) from error


@contextmanager
def open_raster(
    path: Path | str, driver: str | None = None
) -> Generator[DatasetReader]:
    """Open a raster for reading, and name it in whatever fails meanwhile.

    Args:
        path: As for :func:`open_handle`.
        driver: As for :func:`open_handle`.

    Yields:
        The open raster.

    Raises:
        RuntimeError: If something fails while it is open; the message names it.
    """
    try:
        with open_handle(path, driver=driver) as raster:
            yield raster
    except GDAL_ERRORS as error:
        raise _unreadable(path, error.__cause__ or error) from error


def _require_file(path: Path | str) -> None:
    """Refuse a pipe, for which GDAL would wait; it says itself what is not there.

    What a virtual path such as ``/vsizip/a.zip/b.tif`` leads through is looked at too.
    """
    match = _VIRTUAL.match(str(path))
    inner = Path(str(path)[match.end() :]) if match else Path(path)
    for place in (inner, *inner.parents) if match else (inner,):
        try:
            mode = os.stat(place).st_mode
        except (OSError, ValueError):
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise _unreadable(path, ValueError('a pipe or device, not a file'))


def _unreadable(path: Path | str, reason: BaseException) -> RuntimeError:
    return RuntimeError(
        f'Expected a readable raster, got a damaged or missing one: {path} '
        f'({reason}); fetch or extract this file again.'
    )


def read_bands(
    path: Path | str, indexes: Sequence[int], num_bands: int | None = None
) -> np.ndarray:
    """Read some bands of a raster in the file's own type.

    Args:
        path: File to read.
        indexes: Positions of the bands, counted from 1.
        num_bands: Number of bands that the file must have, if that is known.

    Returns:
        Array of shape ``(len(indexes), H, W)``.

    Raises:
        RuntimeError: If the file cannot be read or has another number of bands;
            the message names it.
    """
    return read_raw(path, indexes, num_bands).values


def read_raw(
    path: Path | str,
    indexes: Sequence[int],
    num_bands: int | None = None,
    out: np.ndarray | None = None,
) -> RawBands:
    """Read some bands of a raster, and what the file declares as no data.

    Args:
        path: File to read.
        indexes: Positions of the bands, counted from 1.
        num_bands: Number of bands that the file must have, if that is known.
        out: Array for the bands, which becomes the *values* if it has their shape and
            type and lies in one piece; otherwise it may hold anything.

    Returns:
        The bands in the file's own type.

    Raises:
        RuntimeError: If the file cannot be read or has another number of bands;
            the message names it.
    """
    if os.path.exists(f'{path}{SIDECAR}'):
        return _read(path, indexes, num_bands, out)
    try:
        pixels = read_strips(path, indexes, out)
    except DamagedError as error:
        raise _unreadable(path, error) from error
    if pixels is None:
        with rasterio.Env(**_ALONE):
            return _read(path, indexes, num_bands, out)
    require_bands(path, pixels.num_bands, indexes, num_bands)
    return pixels


def _read(
    path: Path | str,
    indexes: Sequence[int],
    num_bands: int | None,
    out: np.ndarray | None,
) -> RawBands:
    with open_raster(path, _PATCH_DRIVER) as raster:
        require_bands(path, raster.count, indexes, num_bands)
        if out is not None and not _takes(out, raster, indexes):
            out = None
        values = raster.read(list(indexes), out=out)
        return RawBands(values, raster.nodata, raster.count)


def _takes(out: np.ndarray, raster: DatasetReader, indexes: Sequence[int]) -> bool:
    """Check that GDAL can fill an array with bands without changing them."""
    dtype = np.dtype(out.dtype.name)
    types = {raster.dtypes[index - 1] for index in indexes}
    return types == {dtype.name} and fits(out, (len(indexes), *raster.shape), dtype)


def require_bands(
    path: Path | str, count: int, indexes: Sequence[int], num_bands: int | None
) -> None:
    """Check that a raster has the bands that are to be read.

    Args:
        path: The raster, for the message.
        count: Number of its bands.
        indexes: Positions of the bands, counted from 1.
        num_bands: Number of bands that it must have, if that is known.

    Raises:
        RuntimeError: If it has another number of bands, or too few.
    """
    expected = max(indexes) if num_bands is None else num_bands
    if count != expected and (num_bands or count < expected):
        raise RuntimeError(
            f'Expected {expected} bands, got {count} in {path}; replace '
            'this file or take the patch out.'
        )


def require_real(path: Path | str, pixels: RawBands) -> None:
    """Check that a raster can be an image.

    Args:
        path: The raster, for the message.
        pixels: What was read of it.

    Raises:
        RuntimeError: If it holds no real numbers.
    """
    dtype = pixels.values.dtype
    if dtype.kind not in 'iuf':
        raise RuntimeError(f'Expected real numbers, got {dtype} in {path}.')


def fill_image(image: np.ndarray, pixels: RawBands) -> None:
    """Fill an image with bands, NaN where the file declares no data.

    Args:
        image: Array of shape ``(bands, H, W)``, float32, to be overwritten; perhaps
            that of the bands.
        pixels: Bands of the same shape.
    """
    if image is not pixels.values:
        np.copyto(image, pixels.values, casting='unsafe')
    if pixels.nodata is not None and not np.isnan(pixels.nodata):
        image[pixels.values == pixels.nodata] = np.nan


def grid_of(raster: DatasetReader) -> RasterGrid:
    """Return size, CRS and geotransform of an open raster.

    Args:
        raster: An open raster.

    Returns:
        Its grid; without a CRS if it has none.
    """
    return RasterGrid(raster.crs or None, raster.transform, raster.height, raster.width)


def read_grid(path: Path | str) -> RasterGrid:
    """Read size, CRS and geotransform of a raster.

    Args:
        path: File to read.

    Returns:
        Its grid.

    Raises:
        RuntimeError: If the file cannot be read; the message names it.
    """
    with open_raster(path, _PATCH_DRIVER) as raster:
        return grid_of(raster)

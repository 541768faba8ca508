"""Opening, reading and writing rasters: the home of all that calls GDAL's drivers."""

import json
import os
import re
import stat
import uuid
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from rasterio import Affine
from rasterio._err import CPLE_BaseError  # ty: ignore[import-not-found] (compiled)
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile
from rasterio.shutil import copy  # ty: ignore[import-not-found] (compiled)

from ..bands import Sensor
from ..classes import ClassScheme
from .addresses import hide_secrets, is_address
from .atomic import write_bytes
from .band_names import locate_bands
from .grid import RasterGrid
from .tiffs import BandLocator, DamagedError, RawBands, fits, read_header, read_strips

#: What GDAL adds to the name of a raster for what its format cannot hold.
SIDECAR = '.aux.xml'

#: What the names of rasters of scenes end in, where a folder is searched.
SCENE_SUFFIXES = ('.img', '.jp2', '.tif', '.tiff', '.vrt')

#: What precedes the path of a file in GDAL's virtual paths.
_VIRTUAL = re.compile(r'(/vsi\w+/(\{|\d+_\d+,)?)+')

#: GDAL's driver of patches. Others follow what is written in a file to further files
#: and to addresses on the network, and a file's name does not tell.
_PATCH_DRIVER = 'GTiff'

#: Pixels on the longer side of a patch, at most, unless more are asked for. Those of
#: SEN12MS and DFC2020 have 256; a file that claims more may be a whole scene, or damaged.
MAX_PATCH_SIZE = 2048

#: Read a patch without looking for files beside it or for its georeferencing.
_ALONE = {
    'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR',
    'GDAL_GEOREF_SOURCES': 'NONE',
    'GDAL_PAM_ENABLED': 'NO',
}

#: What fails in GDAL; rasterio lets some of its errors through under private names.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)


@contextmanager
def _quiet() -> Generator[None]:
    # DFC2020 has no georeferencing, by design of the contest.
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        yield


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
        with _quiet(), env:
            return rasterio.open(path, driver=driver)
    except UnicodeEncodeError:
        raise RuntimeError(
            f'Expected the name of a raster in UTF-8, got {str(path)!a}; rename it.'
        ) from None
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
    for part in (inner, *inner.parents) if match else (inner,):
        try:
            mode = os.stat(part).st_mode
        except (OSError, ValueError):
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise RuntimeError(
                f'Expected a readable raster, got {path} (a pipe or device, not a '
                'file); it is read in any order, so write it to a file first.'
            )


def _unreadable(path: Path | str, reason: BaseException) -> RuntimeError:
    return RuntimeError(
        f'Expected a readable raster, got a damaged or missing one: '
        f'{hide_secrets(path)} ({hide_secrets(reason)}); {repair(path)}'
    )


def repair(path: Path | str) -> str:
    """Say what to do with a raster that cannot be read, at the end of a message.

    Args:
        path: What GDAL opens.

    Returns:
        An advice; a server refuses an address whose signature has expired.
    """
    if is_address(path):
        return (
            'see whether the server answers, sign the address anew if it is a signed '
            'one, and run the same command again, which keeps what is done.'
        )
    return 'fetch or extract this file again.'


def read_raw(
    path: Path | str,
    indexes: Sequence[int],
    num_bands: int | None = None,
    out: np.ndarray | None = None,
    max_size: int = MAX_PATCH_SIZE,
    sensor: Sensor | None = None,
) -> RawBands:
    """Read some bands of a patch, and what the file declares as no data.

    Args:
        path: File to read.
        indexes: Positions of the bands, counted from 1.
        num_bands: Number of bands that the file must have, if that is known.
        out: Array for the bands, which becomes the *values* if it has their shape and
            type and lies in one piece; otherwise it may hold anything.
        max_size: Most pixels on a side. Memory is asked for after that is checked.
        sensor: Sensor whose bands they are: where descriptions in the file name its
            bands, they are found by these, whatever their positions and number.

    Returns:
        The bands in the file's own type.

    Raises:
        RuntimeError: If the file cannot be read, is too large or has another number of
            bands, or if its descriptions name others; the message names it.
    """
    locate = partial(locate_bands, sensor, tuple(indexes)) if sensor else None
    if os.path.exists(f'{path}{SIDECAR}'):
        return _read(path, indexes, num_bands, out, max_size, locate)
    try:
        pixels = read_strips(path, indexes, out, max_size, locate)
    except DamagedError as error:
        raise _unreadable(path, error) from error
    if pixels is None:
        with rasterio.Env(**_ALONE):
            return _read(path, indexes, num_bands, out, max_size, locate)
    if not pixels.is_named:
        require_bands(path, pixels.num_bands, indexes, num_bands)
    return pixels


def _read(
    path: Path | str,
    indexes: Sequence[int],
    num_bands: int | None,
    out: np.ndarray | None,
    max_size: int,
    locate: BandLocator | None = None,
) -> RawBands:
    with open_raster(path, _PATCH_DRIVER) as raster:
        named = _locate(path, raster, locate)
        if named is None:
            require_bands(path, raster.count, indexes, num_bands)
        indexes = named or indexes
        if max(raster.shape) > max_size:
            height, width = raster.shape
            raise RuntimeError(
                f'Expected a patch of at most {max_size} pixels a side, got {height} x '
                f'{width} in {path}; map a whole scene with dfc2020-geo map, or allow '
                f'such patches with max_patch_size={max(raster.shape)} '
                '(--data.max_patch_size; of pack, --max_patch_size).'
            )
        if out is not None and not _takes(out, raster, indexes):
            out = None
        values = raster.read(list(indexes), out=out)
        return RawBands(values, raster.nodata, raster.count, named is not None)


def _locate(
    path: Path | str, raster: DatasetReader, locate: BandLocator | None
) -> Sequence[int] | None:
    """Find bands by their descriptions."""
    try:
        return locate(raster.descriptions) if locate else None
    except LookupError as error:
        raise RuntimeError(
            f'Expected {error.args[0]} in {path}; correct the descriptions, replace this '
            'file or take the patch out.'
        ) from None


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


def fill_image(
    image: np.ndarray, pixels: RawBands, fills: Sequence[float] = ()
) -> None:
    """Fill an image with bands, NaN where the file declares no data.

    Args:
        image: Array of shape ``(bands, H, W)``, float32, to be overwritten; perhaps
            that of the bands.
        pixels: Bands of the same shape.
        fills: More numbers without data, which the file does not declare.
    """
    if image is not pixels.values:
        np.copyto(image, pixels.values, casting='unsafe')
    if pixels.nodata is not None and not np.isnan(pixels.nodata):
        image[pixels.values == pixels.nodata] = np.nan
    for number in fills:
        image[pixels.values == number] = np.nan


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


class PatchHeader(NamedTuple):
    """What the header of a patch says.

    Attributes:
        height: Number of rows.
        width: Number of columns.
        place: Where it lies. Files of the same bytes lie in the same place; others may.
        count: Number of bands.
        descriptions: Description of each band; empty if none is described.
    """

    height: int
    width: int
    place: bytes
    count: int
    descriptions: tuple[str | None, ...]


def read_patch_header(path: Path | str, kinds: str) -> PatchHeader:
    """Read the header of a patch, and check that the file reaches as far as it says.

    Args:
        path: The file.
        kinds: Kinds of numbers that it may hold, as NumPy has them: ``'iu'``.

    Returns:
        What it says.

    Raises:
        RuntimeError: If it cannot be read, is cut off, or has other numbers; the
            message names it.
    """
    missing = 0
    if found := read_header(path):
        layout, place = found
        dtypes = {layout.dtype.name}
        header = PatchHeader(
            layout.height, layout.width, place, layout.count, layout.descriptions
        )
    else:
        env = rasterio.Env(**_ALONE | {'GDAL_GEOREF_SOURCES': 'INTERNAL'})
        with env, open_raster(path, _PATCH_DRIVER) as raster:
            dtypes = {*raster.dtypes}
            place = repr(grid_of(raster).to_dict()).encode()
            header = PatchHeader(
                *raster.shape, place, raster.count, tuple(raster.descriptions)
            )
            missing = _end_of_blocks(raster) - os.path.getsize(path)
    if {np.dtype(name).kind for name in dtypes} - {*kinds}:
        expected = 'real' if 'f' in kinds else 'whole'
        raise RuntimeError(
            f'Expected {expected} numbers, got {min(dtypes)} in {path}; replace this '
            'file or take the patch out.'
        )
    if missing > 0:
        raise _unreadable(path, EOFError(f'{missing} bytes are missing at its end'))
    return header


def _end_of_blocks(raster: DatasetReader) -> int:
    """Say where the last block of each band ends that the file has."""
    ends = [0]
    for band, (height, width) in enumerate(raster.block_shapes, 1):
        place = f'{(raster.width - 1) // width}_{(raster.height - 1) // height}'
        start, size = (
            raster.get_tag_item(f'BLOCK_{what}_{place}', 'TIFF', bidx=band)
            for what in ('OFFSET', 'SIZE')
        )
        ends.append(int(start or 0) + int(size or 0))
    return max(ends)


def write_image(
    path: Path | str,
    image: np.ndarray,
    crs: str = 'EPSG:4326',
    transform: Affine = Affine.identity(),  # noqa: B008 (immutable)
) -> None:
    """Write bands as an uncompressed GeoTIFF of their own type, without nodata.

    Args:
        path: File to write; its folder must exist.
        image: Array of shape ``(bands, H, W)``.
        crs: Coordinate reference system.
        transform: From pixels to coordinates; the identity, as in DFC2020, if the
            georeferencing is stripped.
    """
    count, height, width = image.shape
    with MemoryFile() as memory:
        with create_raster(
            memory.name,
            driver='GTiff',
            count=count,
            height=height,
            width=width,
            dtype=image.dtype,
            crs=crs,
            transform=transform,
        ) as raster:
            raster.write(image)
        write_bytes(path, memory.getbuffer())


@contextmanager
def create_raster(path: Path | str, **profile: Any) -> Generator[DatasetWriter]:
    """Open a new raster for writing.

    Args:
        path: File to write; its folder must exist.
        **profile: Format, size, type and georeferencing, as for ``rasterio.open``.

    Yields:
        The open raster.
    """
    with _quiet(), rasterio.open(path, 'w', **profile) as raster:
        yield raster


def write_class_map(
    path: Path | str,
    codes: np.ndarray,
    like: Path | str | RasterGrid,
    scheme: ClassScheme,
) -> None:
    """Write a GeoTIFF of class codes that opens with its colours and class names.

    The palette is in the file, the class names are its ``classes`` tag (JSON, name by
    code) and, in the ``.aux.xml`` beside it, the category names that GDAL and QGIS
    show. A file appears under its name only when it is complete.

    Args:
        path: File to write; its folder must exist.
        codes: Codes of the scheme's legend, of shape ``(H, W)``, uint8.
        like: Raster of the same size, or its grid, whose CRS and transform the map
            takes.
        scheme: The classes of the map; its legend gives palette, names and nodata.

    Raises:
        RuntimeError: If *like* has another size or cannot be read.
    """
    profile = _profile(codes[None], like) | {'nodata': scheme.legend.nodata}
    with MemoryFile() as memory:
        with _quiet(), memory.open(**profile) as raster:
            raster.write(codes, 1)
            describe_classes(raster, scheme)
        _write_copy(with_categories(memory.name, scheme), path)


def describe_classes(raster: DatasetWriter, scheme: ClassScheme) -> None:
    """Put the palette and the class names into a raster of class codes.

    Args:
        raster: Raster of one band, open for writing.
        scheme: The scheme whose legend the codes follow.
    """
    raster.write_colormap(1, scheme.legend.palette)
    raster.update_tags(classes=json.dumps(scheme.legend.names))


def write_probabilities(
    path: Path | str,
    probabilities: np.ndarray,
    labels: Sequence[str],
    like: Path | str | RasterGrid,
) -> None:
    """Write class probabilities as a GeoTIFF with one named band per class.

    Args:
        path: File to write; its folder must exist.
        probabilities: Array of shape ``(num_classes, H, W)``, float, NaN without data.
        labels: Name of each class.
        like: Raster of the same size, or its grid, whose CRS and transform the file
            takes.
    """
    fractions = probabilities.astype(np.float32)
    profile = _profile(fractions, like) | {'nodata': np.nan}
    with MemoryFile() as memory:
        with _quiet(), memory.open(**profile) as raster:
            raster.write(fractions)
            raster.descriptions = tuple(labels)
        _write_copy(memory.name, path)


def _profile(image: np.ndarray, like: Path | str | RasterGrid) -> dict[str, object]:
    grid = like if isinstance(like, RasterGrid) else read_grid(like)
    if grid.shape != image.shape[1:]:
        raise RuntimeError(
            f'Expected a map of {grid.shape} pixels like {like}, got {image.shape[1:]}.'
        )
    options = {'driver': 'GTiff', 'dtype': image.dtype, 'compress': 'deflate'}
    return options | grid.profile | {'count': len(image)}


def with_categories(source: str, scheme: ClassScheme) -> str:
    """Describe a class map as a VRT that adds category names, which rasterio cannot.

    Args:
        source: Name of a raster that :func:`describe_classes` has described.
        scheme: The scheme whose legend the codes follow.

    Returns:
        The text of the VRT, which GDAL takes for a file name.
    """
    with MemoryFile(ext='.vrt') as memory:
        copy(source, memory.name, driver='VRT')
        text = memory.read().decode()
    names = scheme.legend.names
    items = ''.join(
        f'<Category>{escape(names.get(code, ""))}</Category>'
        for code in range(max(names) + 1)
    )
    names_xml = f'<CategoryNames>{items}</CategoryNames>'
    return text.replace('<ColorTable>', f'{names_xml}<ColorTable>', 1)


def _write_copy(source: str, path: Path | str) -> None:
    """Write a copy of a raster after its sidecar, both made in memory.

    So Python writes their bytes: GDAL loses what fails when a file is closed.
    """
    names: dict[str, str] = {'dirname': uuid.uuid4().hex, 'filename': 'copy.tif'}
    beside = names | {'filename': f'copy.tif{SIDECAR}'}
    with MemoryFile(**names) as raster, MemoryFile(**beside) as sidecar:
        with _quiet():
            copy(source, raster.name, driver='GTiff', compress='deflate')
        if content := bytes(sidecar.getbuffer()):
            write_bytes(f'{path}{SIDECAR}', content)
        write_bytes(path, raster.getbuffer())

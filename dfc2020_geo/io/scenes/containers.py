"""Files that hold several images, and images that lie in pieces."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from rasterio import Affine

from ..grid import RasterGrid
from ..rasters import open_raster
from .headers import RasterHeader, read_header

#: Formats in which each variable is a raster of its own.
_VARIABLES = ('.nc', '.nc4', '.h5', '.hdf', '.hdf5', '.he5')

#: What GDAL calls a variable: its format, file and name.
_PART = re.compile(r'(?:NETCDF|HDF5|HDF4_\w+):"?(.+?)"?:(?://)?([^:]+)', re.IGNORECASE)

#: GDAL's names of types that are not ours with a capital.
_TYPES = {'uint8': 'Byte', 'uint16': 'UInt16', 'uint32': 'UInt32', 'uint64': 'UInt64'}

#: How Earth Engine names the pieces of an image: first row and first column.
_PIECE = re.compile(r'(.+)-(\d{10})-(\d{10})')

#: In place of row and column, the name of the whole image.
_WHOLE = '-*'


def list_parts(path: str) -> list[str]:
    """List the rasters in a file.

    Args:
        path: What a user names: a raster, a file of variables (NetCDF, HDF) or the
            ``.dim`` of SNAP, whose bands lie in a folder beside it.

    Returns:
        What GDAL opens.

    Raises:
        FileNotFoundError: If the folder of a ``.dim`` is not there.
        RuntimeError: If a file of variables cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix == '.dim':
        folder = Path(path).with_suffix('.data')
        if images := sorted(map(str, folder.glob('*.img'))):
            return images
        raise FileNotFoundError(
            f'Expected the bands of {path} in {folder}, got none; SNAP writes both, '
            'copy them together.'
        )
    if suffix in _VARIABLES and not _PART.fullmatch(path):
        with open_raster(path) as raster:
            return [path] if raster.count else list(raster.subdatasets) or [path]
    return [path]


def split_part(path: str) -> tuple[str, str]:
    """Split what GDAL calls a variable into its file and its name.

    Args:
        path: What GDAL opens.

    Returns:
        The file and the name; for another path, itself and nothing.

    Examples:
        >>> split_part('NETCDF:"/data/scene.nc":B02')
        ('/data/scene.nc', 'B02')
    """
    found = _PART.fullmatch(path)
    return (found[1], found[2].rpartition('/')[2]) if found else (path, '')


def whole_stem(stem: str) -> str:
    """Return the name of an image that a file is a piece of.

    Args:
        stem: Name of a file, without its extension.

    Returns:
        The name without row and column; another name as it is.

    Examples:
        >>> whole_stem('lake-0000000000-0000008192'), whole_stem('lake')
        ('lake', 'lake')
    """
    found = _PIECE.fullmatch(stem)
    return found[1] if found else stem.removesuffix(_WHOLE)


def join_pieces(files: Sequence[RasterHeader]) -> list[RasterHeader]:
    """Join images that Earth Engine exported in pieces.

    Args:
        files: The files of a scene.

    Returns:
        The files, with one virtual raster in place of the pieces of an image.

    Raises:
        RuntimeError: If a piece is missing, or differs from the others.
    """
    images: dict[str, dict[tuple[int, int], RasterHeader]] = {}
    joined: list[RasterHeader] = []
    for file in files:
        place, dot, suffix = file.path.rpartition('.')
        if found := _PIECE.fullmatch(place):
            name = f'{found[1]}{_WHOLE}{dot}{suffix}'
            images.setdefault(name, {})[int(found[2]), int(found[3])] = file
        else:
            joined.append(file)
    for name, pieces in images.items():
        joined.append(_join(name, pieces) if len(pieces) > 1 else pieces.popitem()[1])
    return joined


def _join(name: str, pieces: dict[tuple[int, int], RasterHeader]) -> RasterHeader:
    rows, columns = ({place[axis] for place in pieces} for axis in (0, 1))
    missing = [place for place in product(rows, columns) if place not in pieces]
    if missing or (0, 0) not in pieces:
        row, column = min(missing) if missing else (0, 0)
        raise RuntimeError(
            f'Expected all pieces of {name}, got {len(pieces)} without '
            f'{name.replace("*", f"{row:010}-{column:010}")}; fetch it as well, or name '
            'the pieces one by one to map them apart.'
        )
    first = pieces[0, 0]
    origin, crs = first.grid.transform, first.grid.crs
    for (row, column), piece in pieces.items():
        shifted = origin @ Affine.translation(column, row)
        is_alike = piece.dtypes == first.dtypes and piece.grid.crs == crs
        if not is_alike or not shifted.almost_equals(piece.grid.transform, 1e-6):
            raise RuntimeError(
                f'Expected pieces of one image, got {piece.path}, '
                f'{piece.grid.describe()} of {piece.dtypes[0]}, beside {first.path}, '
                f'{first.grid.describe()} of {first.dtypes[0]}; export the image anew.'
            )
    height = max(row + piece.grid.height for (row, _), piece in pieces.items())
    width = max(column + piece.grid.width for (_, column), piece in pieces.items())
    text = _describe(RasterGrid(crs, origin, height, width), pieces)
    parts = tuple(path for piece in pieces.values() for path in piece.parts)
    return replace(read_header(text), path=name, parts=parts)


def _describe(grid: RasterGrid, pieces: dict[tuple[int, int], RasterHeader]) -> str:
    """Describe an image to GDAL by its pieces, as a VRT."""
    size = {'rasterXSize': str(grid.width), 'rasterYSize': str(grid.height)}
    root = Element('VRTDataset', size)
    SubElement(root, 'SRS').text = grid.known_crs.to_wkt()
    numbers = ', '.join(map(repr, grid.transform.to_gdal()))
    SubElement(root, 'GeoTransform').text = numbers
    first = pieces[0, 0]
    for index, dtype in enumerate(first.dtypes, 1):
        options = {
            'dataType': _TYPES.get(dtype, dtype.capitalize()),
            'band': str(index),
        }
        band = SubElement(root, 'VRTRasterBand', options)
        if description := first.descriptions[index - 1]:
            SubElement(band, 'Description').text = description
        if (nodata := first.nodata[index - 1]) is not None:
            SubElement(band, 'NoDataValue').text = repr(nodata)
        for (row, column), piece in pieces.items():
            source = SubElement(band, 'SimpleSource')
            name = {'relativeToVRT': '0', 'shared': '0'}
            SubElement(source, 'SourceFilename', name).text = piece.address
            SubElement(source, 'SourceBand').text = str(index)
            extent = {'xSize': str(piece.grid.width), 'ySize': str(piece.grid.height)}
            SubElement(source, 'SrcRect', {'xOff': '0', 'yOff': '0'} | extent)
            corner = {'xOff': str(column), 'yOff': str(row)}
            SubElement(source, 'DstRect', corner | extent)
    return tostring(root, encoding='unicode')

"""Warping the bands of a file to the grid of a scene, window by window."""

from typing import Any, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.enums import Resampling

from ..grid import RasterGrid, steps
from .headers import RasterHeader

#: How Sentinel-1 is brought to another grid.
ResamplingName = Literal['nearest', 'bilinear', 'cubic', 'average']

#: Largest error of a warped position, in pixels, where values are interpolated. With
#: GDAL's own, an eighth of a pixel, values depend on the window that is read.
TOLERANCE = 0.001


def warp_options(
    file: RasterGrid, grid: RasterGrid, resampling: str, tolerance: float
) -> dict[str, Any]:
    """Return the options of GDAL's warper that do not depend on the window.

    Args:
        file: Grid of the file.
        grid: Grid that its bands are brought to.
        resampling: How values are made of those around them: a name of rasterio's.
        tolerance: Largest error of a position, in pixels.

    Returns:
        Arguments of :class:`rasterio.vrt.WarpedVRT`.
    """
    options = {
        'resampling': Resampling[resampling],
        'nodata': np.nan,
        'dtype': 'float32',
        'tolerance': tolerance,
    }
    if crs := _wrapped_crs(file, grid):
        options['src_crs'] = crs
    scales = steps(file, grid)
    # Measured anew in each window if they are not given.
    if np.isfinite(scales).all() and min(scales) > 0:
        options |= dict(zip(('XSCALE', 'YSCALE'), scales, strict=True))
    return options


def _wrapped_crs(file: RasterGrid, grid: RasterGrid) -> CRS | None:
    """Return the CRS of a file with longitudes that go on beyond 180 degrees.

    GDAL looks for what lies at 179 degrees west at -179 degrees, not at 181. None where
    neither the file nor the grid goes on beyond 180 degrees.
    """
    middle = file.longitude
    if middle is None or not (_leaves_turn(file) or _leaves_turn(grid)):
        return None
    return CRS.from_dict(file.crs.to_dict() | {'lon_wrap': middle})


def _leaves_turn(grid: RasterGrid) -> bool:
    """Tell whether a grid has longitudes beyond 180 degrees."""
    columns, rows = (0, grid.width) * 2, (0, 0, grid.height, grid.height)
    x = [x for x, _ in grid.coordinates(columns, rows)]
    return grid.longitude is not None and not -180 <= min(x) <= max(x) <= 180


def view_with_nan(file: RasterHeader, index: int) -> str:
    """Describe one band of a file to GDAL, as one that has NaN where it has no data.

    Args:
        file: Header of the file.
        index: Position of the band, counted from 1.

    Returns:
        A VRT, as text.
    """
    path, nodata = file.address, file.nodata[index - 1]
    if file.masked or index in file.masked_bands:
        # One after the other: GDAL looks at a number or at the mask.
        path, index = _hide(file.grid, path, index, ('UseMaskBand', 'true')), 1
    elif nodata is None:
        nodata = 0  # undeclared fill
    if nodata is None:
        return path
    return _hide(file.grid, path, index, ('NODATA', repr(float(nodata))))


def _hide(grid: RasterGrid, path: str, index: int, rule: tuple[str, str]) -> str:
    """Describe a band as one that has NaN where a rule of GDAL says no data."""
    size = {'rasterXSize': str(grid.width), 'rasterYSize': str(grid.height)}
    root = Element('VRTDataset', size)
    numbers = ', '.join(map(repr, grid.transform.to_gdal()))
    SubElement(root, 'SRS').text = grid.crs.to_wkt()
    SubElement(root, 'GeoTransform').text = numbers
    # Double precision holds whatever number is declared.
    band = SubElement(root, 'VRTRasterBand', {'dataType': 'Float64', 'band': '1'})
    SubElement(band, 'NoDataValue').text = 'nan'
    source = SubElement(band, 'ComplexSource')
    options = {'relativeToVRT': '0', 'shared': '0'}
    SubElement(source, 'SourceFilename', options).text = path
    SubElement(source, 'SourceBand').text = str(index)
    name, text = rule
    SubElement(source, name).text = text
    return tostring(root, encoding='unicode')

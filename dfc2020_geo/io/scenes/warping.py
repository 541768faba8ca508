"""Warping the bands of a file to the grid of a scene, window by window."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from affine import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from ..grid import RasterGrid, steps
from .headers import Handles, RasterHeader

#: How Sentinel-1 is brought to another grid.
ResamplingName = Literal['nearest', 'bilinear', 'cubic', 'average']

#: Largest error of a warped position, in pixels, where values are interpolated. With
#: GDAL's own, an eighth of a pixel, values depend on the window that is read.
TOLERANCE = 0.001


@dataclass(frozen=True)
class Warp:
    """How the bands of a file come to a grid of other pixels.

    Attributes:
        file: The file.
        grid: The grid.
        resampling: How values are made of those around them: a name of rasterio's.
        tolerance: Largest error of a position, in pixels.
        fill: Number without data, if the file declares none or this one; None if every
            number is one of data.
    """

    file: RasterHeader
    grid: RasterGrid
    resampling: str
    tolerance: float = TOLERANCE
    fill: float | None = 0

    def open(self, handles: Handles, rows: slice, columns: slice) -> WarpedVRT:
        """Open a window, with all bands of the file; undeclared fill becomes NaN.

        Args:
            handles: Where rasters are kept open.
            rows: Rows of the grid.
            columns: Columns of the grid.

        Returns:
            A raster that is the window.
        """
        alpha = self.file.alpha
        gaps: dict[str, Any] = {}
        if alpha is not None:
            gaps = {'src_alpha': alpha}
        elif self.fill is not None:
            # Fill is 0 in all bands, and must not fade into its neighbours.
            gaps = {'src_nodata': self.fill}
        return self._open(handles.get(self.file), rows, columns, gaps)

    def open_band(
        self, handles: Handles, index: int, rows: slice, columns: slice
    ) -> WarpedVRT:
        """Open a window of one band, NaN where that band declares no data.

        Args:
            handles: Where rasters are kept open.
            index: Position of the band in the file.
            rows: Rows of the grid.
            columns: Columns of the grid.

        Returns:
            A raster of one band that is the window.
        """
        source = handles.get(self.file, _view_with_nan(self.file, index))
        return self._open(source, rows, columns, {'src_nodata': np.nan})

    def _open(
        self, source: DatasetReader, rows: slice, columns: slice, gaps: dict[str, Any]
    ) -> WarpedVRT:
        # A new one each time: what an old one has in its cache would show in the values.
        return WarpedVRT(
            source,
            crs=self.grid.crs,
            transform=self.grid.transform
            @ Affine.translation(columns.start, rows.start),
            height=rows.stop - rows.start,
            width=columns.stop - columns.start,
            **self._options,
            **gaps,
        )

    @cached_property
    def _options(self) -> dict[str, Any]:
        """Options of GDAL that do not depend on the window."""
        options = {
            'resampling': Resampling[self.resampling],
            'nodata': np.nan,
            'dtype': 'float32',
            'tolerance': self.tolerance,
        }
        if crs := _wrapped_crs(self.file.grid):
            options['src_crs'] = crs
        scales = steps(self.file.grid, self.grid)
        # Measured anew in each window if they are not given.
        if np.isfinite(scales).all() and min(scales) > 0:
            options |= dict(zip(('XSCALE', 'YSCALE'), scales, strict=True))
        return options


def _wrapped_crs(grid: RasterGrid) -> CRS | None:
    """Return a CRS whose longitudes go on beyond 180 degrees, if those of a grid do.

    GDAL looks for what lies at 179 degrees west at -179 degrees, not at 181.
    """
    columns, rows = (0, grid.width) * 2, (0, 0, grid.height, grid.height)
    x = [x for x, _ in grid.coordinates(columns, rows)]
    if not grid.crs.is_geographic or -180 <= min(x) <= max(x) <= 180:
        return None
    return CRS.from_dict(grid.crs.to_dict() | {'lon_wrap': sum(x) / len(x)})


def _view_with_nan(file: RasterHeader, index: int) -> str:
    """Describe one band of a file to GDAL, as one that has NaN where it has no data."""
    path, nodata = file.path, file.nodata[index - 1]
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
    place = {'relativeToVRT': '0', 'shared': '0'}
    SubElement(source, 'SourceFilename', place).text = path
    SubElement(source, 'SourceBand').text = str(index)
    name, text = rule
    SubElement(source, name).text = text
    return tostring(root, encoding='unicode')

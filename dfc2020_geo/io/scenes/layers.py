"""Reading a window of one file on the grid of a scene."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rasterio.io import DatasetReader

from ..grid import Lattice, RasterGrid, nearest
from ..rasters import GDAL_ERRORS
from .headers import Handles, RasterFacts
from .warping import ResamplingName, Warp

#: First and last row, and column, of a file; the last ones excluded.
type _Window = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Layer:
    """The bands of one file that are read for a scene.

    Attributes:
        file: The file.
        indexes: Positions of the bands in it, counted from 1.
        channels: The channels of the image that they become.
        grid: The grid of the scene.
        lattice: Where the pixels of the grid lie in the file; None if the file has to
            be warped.
        resampling: How it is warped.
    """

    file: RasterFacts
    indexes: tuple[int, ...]
    channels: tuple[int, ...]
    grid: RasterGrid
    lattice: Lattice | None
    resampling: ResamplingName

    def read(
        self, handles: Handles, rows: slice, columns: slice, image: np.ndarray
    ) -> bool:
        """Read a window, as stored numbers.

        Args:
            handles: Where rasters are kept open.
            rows: Rows of the scene.
            columns: Columns of the scene.
            image: Where the numbers go, of shape ``(C, H, W)``, float32; NaN where the
                file has none.

        Returns:
            Whether it is known that there is a finite number for each pixel.

        Raises:
            RuntimeError: If the file cannot be read; the message says where.
        """
        if self.lattice is None:
            read = self._read_warped
        else:
            read = (
                self._read_nearest if self.lattice.shift is None else self._read_plain
            )
        try:
            is_whole = read(handles, rows, columns, image)
        except GDAL_ERRORS as error:
            raise RuntimeError(
                f'Expected a readable raster, got a damaged one: {self.file.path}, in '
                f'rows {rows.start} to {rows.stop} and columns {columns.start} to '
                f'{columns.stop} of the scene ({error.__cause__ or error}); fetch or '
                'extract this file again.'
            ) from error
        return is_whole and self._is_whole_numbers

    @cached_property
    def _dtypes(self) -> tuple[str, ...]:
        """The types of the bands, which differ in some virtual rasters."""
        return tuple(self.file.dtypes[index - 1] for index in self.indexes)

    @cached_property
    def _is_whole_numbers(self) -> bool:
        return all(np.dtype(dtype).kind in 'iu' for dtype in self._dtypes)

    @cached_property
    def _runs(self) -> tuple[tuple[slice, list[int]], ...]:
        """Channels of one type that follow each other, with their bands: one read."""
        runs: list[tuple[int, str, list[int]]] = []
        for channel, index, dtype in zip(
            self.channels, self.indexes, self._dtypes, strict=True
        ):
            if runs and runs[-1][:2] == (channel - len(runs[-1][2]), dtype):
                runs[-1][2].append(index)
            else:
                runs.append((channel, dtype, [index]))
        return tuple((slice(c, c + len(bands)), bands) for c, _, bands in runs)

    def _read_plain(
        self, handles: Handles, rows: slice, columns: slice, image: np.ndarray
    ) -> bool:
        assert self.lattice is not None
        assert self.lattice.shift is not None
        raster = handles.get(self.file)
        down, across = self.lattice.shift
        top, inside_rows = _inside(rows, down, raster.height)
        left, inside_columns = _inside(columns, across, raster.width)
        inside = image[:, inside_rows, inside_columns]
        is_inside = inside.shape == image.shape
        if not is_inside:
            image[list(self.channels)] = np.nan
        if not inside.size:
            return False
        height, width = inside.shape[1:]
        window = ((top, top + height), (left, left + width))
        return self._fill(raster, window, inside) and is_inside

    def _fill(self, raster: DatasetReader, window: _Window, image: np.ndarray) -> bool:
        for channels, bands in self._runs:
            raster.read(bands, window=window, out=image[channels])
        if self.file.alpha:
            return self._hide(image, raster.read(self.file.alpha, window=window) == 0)
        if self._masks:
            masks = raster.read_masks(self._masks, window=window)
            return self._hide(image, ~masks.all(axis=0))
        return True

    @cached_property
    def _masks(self) -> list[int]:
        """Bands whose masks say where there are data."""
        own = [index for index in self.indexes if index in self.file.masked_bands]
        return [1] if self.file.masked else own

    def _hide(self, image: np.ndarray, hidden: np.ndarray) -> bool:
        """Hide some pixels; False if there are any."""
        if not hidden.any():
            return True
        for channel in self.channels:
            image[channel][hidden] = np.nan
        return False

    def _read_nearest(
        self, handles: Handles, rows: slice, columns: slice, image: np.ndarray
    ) -> bool:
        assert self.lattice is not None
        raster = handles.get(self.file)
        down = nearest(*self.lattice.rows, rows, raster.height)
        across = nearest(*self.lattice.columns, columns, raster.width)
        top, left = int(down.min()), int(across.min())
        height, width = int(down.max()) + 1 - top, int(across.max()) + 1 - left
        stored = np.empty((len(image), height, width), np.float32)
        window = ((top, top + height), (left, left + width))
        is_whole = self._fill(raster, window, stored)
        for channel in self.channels:
            image[channel] = stored[channel][(down - top)[:, None], across - left]
        return is_whole

    def _read_warped(
        self, handles: Handles, rows: slice, columns: slice, image: np.ndarray
    ) -> bool:
        if self._declares_gaps:
            # The warper knows one number without data for all bands, or one mask.
            for channel, index in zip(self.channels, self.indexes, strict=True):
                with self._warp.open_band(handles, index, rows, columns) as warped:
                    warped.read(1, out=image[channel])
            return False
        with self._warp.open(handles, rows, columns) as warped:
            for channels, bands in self._runs:
                warped.read(bands, out=image[channels])
        return False

    @cached_property
    def _warp(self) -> Warp:
        return Warp(self.file, self.grid, self.resampling)

    @cached_property
    def _declares_gaps(self) -> bool:
        """Whether more is declared to be without data than 0 in all bands."""
        numbers = {self.file.nodata[index - 1] for index in self.indexes}
        is_declared = bool(self._masks or numbers - {None, 0})
        return is_declared and self.file.alpha is None


def _inside(pixels: slice, shift: int, size: int) -> tuple[int, slice]:
    """Cut pixels to those that a raster has.

    Returns:
        The raster's first of them, and where they are among the pixels.
    """
    start = min(max(pixels.start + shift, 0), size)
    stop = max(min(pixels.stop + shift, size), start)
    first = start - shift - pixels.start
    return start, slice(first, first + stop - start)

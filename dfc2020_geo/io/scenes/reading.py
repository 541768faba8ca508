"""Reading windows of scenes: the one reader of training, scoring and mapping."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from ..addresses import hide_secrets
from ..grid import Lattice, RasterGrid, covers, nearest
from ..rasters import GDAL_ERRORS, repair
from ..value_checks import Finding
from .headers import Handles, RasterHeader
from .radiometry import Coding, decode
from .warping import TOLERANCE, view_with_nan, warp_options

#: First and last row, and column, of a file; the last ones excluded.
type _Extent = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class BandReader:
    """Reads the bands of one file on the grid of a scene.

    Attributes:
        file: The file.
        indexes: Positions of the bands in it, counted from 1.
        channels: The channels of the image that they become.
        grid: The grid of the scene.
        lattice: Where the pixels of the grid lie in the file; None if the file has to
            be warped.
        resampling: How it is warped: a name of rasterio's.
        tolerance: Largest error of a warped position, in pixels.
        fill: Number without data in bands that declare none, where they are warped;
            None if there is no such number.
    """

    file: RasterHeader
    indexes: tuple[int, ...]
    channels: tuple[int, ...]
    grid: RasterGrid
    lattice: Lattice | None
    resampling: str
    tolerance: float = TOLERANCE
    fill: float | None = 0

    def read(
        self, handles: Handles, rows: slice, columns: slice, image: np.ndarray
    ) -> bool:
        """Read a window, as stored numbers.

        Args:
            handles: Where rasters are kept open.
            rows: Rows of the scene's grid; they may lie outside it.
            columns: Columns of the scene's grid.
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
                f'{columns.stop} of the scene '
                f'({hide_secrets(error.__cause__ or error)}); {repair(self.file.path)}'
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

    def _fill(self, raster: DatasetReader, window: _Extent, image: np.ndarray) -> bool:
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
        (height, width), size = self.grid.shape, self.file.grid.shape
        # A last pixel of 20 or 60 m that is cut off stands for all of its ground.
        length = (height, width) if self._is_covering else (0, 0)
        down, inside_rows = _nearest(self.lattice.rows, rows, size[0], length[0])
        across, inside_columns = _nearest(
            self.lattice.columns, columns, size[1], length[1]
        )
        inside = image[:, inside_rows, inside_columns]
        is_inside = inside.shape == image.shape
        if not is_inside:
            image[list(self.channels)] = np.nan
        if not inside.size:
            return False
        top, left = int(down.min()), int(across.min())
        height, width = int(down.max()) + 1 - top, int(across.max()) + 1 - left
        stored = np.empty((len(image), height, width), np.float32)
        window = ((top, top + height), (left, left + width))
        is_whole = self._fill(handles.get(self.file), window, stored)
        for channel in self.channels:
            inside[channel] = stored[channel][(down - top)[:, None], across - left]
        return is_whole and is_inside

    @cached_property
    def _is_covering(self) -> bool:
        """Whether the file has every pixel of the grid, but for a part of its own."""
        assert self.lattice is not None
        return covers(self.lattice, self.grid, self.file.grid)

    def _read_warped(
        self, handles: Handles, rows: slice, columns: slice, image: np.ndarray
    ) -> bool:
        window = self.grid.window(rows, columns)
        if self._declares_gaps:
            # The warper knows one number without data for all bands, or one mask.
            for channel, index in zip(self.channels, self.indexes, strict=True):
                source = handles.get(self.file, view_with_nan(self.file, index))
                with self._warp(source, window, src_nodata=np.nan) as warped:
                    warped.read(1, out=image[channel])
            return False
        gaps: dict[str, Any] = {}
        if self.file.alpha is not None:
            gaps = {'src_alpha': self.file.alpha}
        elif self.fill is not None or 0 in self._nodata:
            # Fill is 0 in all bands, and must not fade into its neighbours.
            gaps = {'src_nodata': 0 if 0 in self._nodata else self.fill}
        with self._warp(handles.get(self.file), window, **gaps) as warped:
            for channels, bands in self._runs:
                warped.read(bands, out=image[channels])
        return False

    def _warp(
        self, source: DatasetReader, window: RasterGrid, **gaps: Any
    ) -> WarpedVRT:
        # A new one each time: what an old one has in its cache would show in the values.
        return WarpedVRT(source, **window.profile, **self._warp_options, **gaps)

    @cached_property
    def _warp_options(self) -> dict[str, Any]:
        return warp_options(self.file.grid, self.grid, self.resampling, self.tolerance)

    @cached_property
    def _nodata(self) -> set[float | None]:
        """What the bands declare as no data."""
        return {self.file.nodata[index - 1] for index in self.indexes}

    @cached_property
    def _declares_gaps(self) -> bool:
        """Whether more is declared to be without data than 0 in all bands."""
        is_declared = bool(self._masks or self._nodata - {None, 0})
        return is_declared and self.file.alpha is None


@dataclass(frozen=True)
class Scene:
    """The bands of a scene that a network reads, on one grid.

    Files are opened when they are first read, by each process and thread on its own; a
    scene can be pickled and survives a fork.

    Attributes:
        name: Name of the scene.
        grid: Its pixels on the ground.
        bands: Names of the channels, in the order of :data:`~dfc2020_geo.bands.BANDS`.
        notes: What a user should be told: where each band comes from, which offset was
            read where, what declares no data, what is warped.
        readers: The files that are read.
        codings: What the numbers of each sensor mean.
        findings: What a check of its values has found.
    """

    name: str
    grid: RasterGrid
    bands: tuple[str, ...]
    notes: tuple[str, ...]
    readers: tuple[BandReader, ...]
    codings: tuple[Coding, ...]
    findings: tuple[Finding, ...] = ()
    _handles: Handles = field(default_factory=Handles, repr=False, compare=False)

    def estimate_blocks(self, num_rows: int) -> int:
        """Return the bytes of the compressed blocks that some rows touch.

        With room for them, no block is decompressed twice while rows are read that
        share some with the rows before. Other blocks are quick to read again.

        Args:
            num_rows: Number of rows.

        Returns:
            Number of bytes, uncompressed.
        """
        files = {reader.file.address: reader.file for reader in self.readers}
        compressed = [file for file in files.values() if not file.is_plain]
        return sum(file.estimate_blocks(num_rows) for file in compressed)

    def read(
        self, rows: slice | tuple[int, int], columns: slice | tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a window.

        Args:
            rows: First row and the one after the last, within the scene.
            columns: The same of columns.

        Returns:
            The image, of shape ``(C, H, W)``, float32, Sentinel-2 in reflectance x
            10 000 and Sentinel-1 in decibels, NaN where a file has no data: what that
            becomes is a setting of the scaling, as it was in training. And whether
            there are data of all sensors, of shape ``(H, W)``, bool.

        Raises:
            ValueError: If the window leaves the scene or has no pixels.
            RuntimeError: If a file cannot be read; the message says where.

        Examples:
            >>> import tempfile
            >>> from dfc2020_geo.io.scenes import open_scene
            >>> from dfc2020_geo.synthetic import write_scene
            >>> files = write_scene(tempfile.mkdtemp(), shape=(40, 60))
            >>> scene = open_scene(files.s2, bands=['s2-10m'])
            >>> image, valid = scene.read(rows=(0, 20), columns=(10, 60))
            >>> image.shape, image.dtype, valid.shape
            ((4, 20, 50), dtype('float32'), (20, 50))
        """
        return self.read_window(
            _within(rows, self.grid.height, 'rows'),
            _within(columns, self.grid.width, 'columns'),
        )

    def read_window(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Read a window that may leave the scene.

        Args:
            rows: First row and the one after the last.
            columns: The same of columns.

        Returns:
            As :meth:`read`; NaN and no data where no file reaches.

        Raises:
            RuntimeError: If a file cannot be read; the message says where.
        """
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        image = np.empty((len(self.bands), *shape), np.float32)
        is_whole = np.ones(len(self.bands), np.bool_)
        for reader in self.readers:
            known = reader.read(self._handles, rows, columns, image)
            is_whole[list(reader.channels)] = known
        valid = np.ones(shape, np.bool_)
        for coding in self.codings:
            channels = coding.channels
            valid &= decode(image[channels], coding, bool(is_whole[channels].all()))
        return image, valid

    def close(self) -> None:
        """Close the files that this process has open; reading opens them again."""
        self._handles.close()


def _inside(pixels: slice, shift: int, size: int) -> tuple[int, slice]:
    """Cut pixels to those that a raster has.

    Returns:
        The raster's first of them, and where they are among the pixels.
    """
    start = min(max(pixels.start + shift, 0), size)
    stop = max(min(pixels.stop + shift, size), start)
    first = start - shift - pixels.start
    return start, slice(first, first + stop - start)


def _nearest(
    axis: tuple[float, float], pixels: slice, size: int, length: int
) -> tuple[np.ndarray, slice]:
    """Find the nearest pixels of a raster, and which pixels of the grid have one.

    Args:
        axis: Rows or columns of a lattice.
        pixels: The grid's pixels asked for.
        size: Number of the raster's pixels.
        length: Number of the grid's pixels that have one even a little beyond its edge.
    """
    positions = nearest(axis, pixels)
    numbers = np.arange(pixels.start, pixels.stop)
    has_one = (positions >= 0) & (positions < size) | (numbers >= 0) & (
        numbers < length
    )
    found = np.flatnonzero(has_one)
    inside = slice(found[0], found[-1] + 1) if len(found) else slice(0, 0)
    return positions[inside].clip(0, size - 1), inside


def _within(pixels: slice | tuple[int, int], length: int, axis: str) -> slice:
    start, stop = (pixels.start, pixels.stop) if isinstance(pixels, slice) else pixels
    if not 0 <= start < stop <= length:
        raise ValueError(
            f'Expected {axis} within the {length} of the scene, got {start} to {stop}.'
        )
    return slice(int(start), int(stop))

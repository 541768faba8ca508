"""Reading the strips of a TIFF, and making bands of them."""

import math
import os
import struct
import threading
import zlib
from collections.abc import Buffer, Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np

from .headers import (
    LOSSLESS,
    UNCOMPRESSED,
    StripColumn,
    StripLayout,
    find_layout,
    read_georeferencing,
)

#: Bytes of pixels that are put in order in one go, few enough for the CPU's cache.
_BLOCK = 1 << 19

#: Bytes that a thread keeps for that from file to file.
_KEPT = 1 << 22

#: Bytes that are inflated in one go, of what may be far more than it seems.
_PART = 1 << 20

#: What is raised for files that are damaged.
_DAMAGED = (
    ArithmeticError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)

_thread = threading.local()

#: Finds bands by the descriptions of a file: their positions, counted from 1; None if
#: they say nothing.
type BandLocator = Callable[[Sequence[str | None]], Sequence[int] | None]


class DamagedError(Exception):
    """Raised where a checksum shows that pixels are not what was written."""


class RawBands(NamedTuple):
    """Bands of a raster as they are stored.

    Attributes:
        values: Array of shape ``(bands, H, W)`` in the type of the file.
        nodata: The value that the file declares as no data.
        num_bands: Number of bands in the file.
        is_named: Whether the bands were found by their descriptions.
    """

    values: np.ndarray
    nodata: float | None
    num_bands: int
    is_named: bool = False


def read_strips(
    path: Path | str,
    indexes: Sequence[int],
    out: np.ndarray | None = None,
    max_size: float = math.inf,
    locate: BandLocator | None = None,
) -> RawBands | None:
    """Read bands of a TIFF of strips.

    Args:
        path: File to read.
        indexes: Positions of the bands, counted from 1.
        out: Array for the bands, which is taken if it :func:`fits`.
        max_size: Most pixels on a side.
        locate: Finds the bands by the descriptions of a file that has some.

    Returns:
        The bands; None if GDAL must read the file, or say what is wrong with it. Then
        *out* may hold anything.

    Raises:
        DamagedError: If a checksum shows that pixels are damaged.
    """
    try:
        with open(path, 'rb', buffering=0, opener=_open) as file:
            layout = find_layout(file)
            named = locate(layout.descriptions) if locate and layout else None
            indexes = named or indexes
            if layout is None or not 1 <= min(indexes) <= max(indexes) <= layout.count:
                return None
            if max(layout.height, layout.width) > max_size:
                return None
            strips = _Strips(file, layout)
            shape = (len(indexes), layout.height, layout.width)
            if out is None or not fits(out, shape, layout.dtype):
                out = np.empty(shape, layout.dtype)
            bands = [index - 1 for index in indexes]
            if layout.separate:
                _fill_from_bands(out, strips, layout, bands)
            else:
                _fill_from_rows(out, strips, layout, bands)
    except _DAMAGED:
        return None
    return RawBands(out, layout.nodata, layout.count, named is not None)


def read_header(path: Path | str) -> tuple[StripLayout, bytes] | None:
    """Read how a TIFF of strips is stored, and check that it is not cut off.

    Args:
        path: File to read.

    Returns:
        Its layout, and its tags of georeferencing as they are stored; None if GDAL must
        read the file, or say what is wrong with it.
    """
    try:
        with open(path, 'rb', buffering=0, opener=_open) as file:
            layout = find_layout(file)
            if layout is None:
                return None
            _Strips(file, layout)
            file.seek(0)
            return layout, read_georeferencing(file)
    except _DAMAGED:
        return None


def _open(path: str, flags: int) -> int:
    # A pipe that nobody writes to would be waited for; files are opened all the same.
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))


def fits(out: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Check that an array can be filled with bands.

    Args:
        out: The array.
        shape: Shape of the bands.
        dtype: Their type.

    Returns:
        Whether it has this shape and type, lies in one piece and can be written to.
    """
    return out.shape == shape and out.dtype == dtype and out.flags.carray


def _fill_from_bands(
    values: np.ndarray, strips: '_Strips', layout: StripLayout, bands: Sequence[int]
) -> None:
    """Read strips of single bands right to where they belong."""
    down = layout.num_strips
    for target, source, number in _ranges(bands):
        part = values[target : target + number].reshape(-1, layout.width, 1)
        strips.fill(source * down, number * down, part)


def _fill_from_rows(
    values: np.ndarray, strips: '_Strips', layout: StripLayout, bands: Sequence[int]
) -> None:
    """Read strips of all bands, some rows at a time."""
    down, rows = layout.num_strips, layout.rows
    number = max(1, _BLOCK // layout.num_bytes(0))
    ranges = tuple(_ranges(bands))
    for first in range(0, down, number):
        top, bottom = first * rows, min((first + number) * rows, layout.height)
        pixels = _scratch((bottom - top, layout.width, layout.count), layout.dtype)
        strips.fill(first, min(number, down - first), pixels)
        for target, source, count in ranges:
            wanted = pixels[:, :, source : source + count].transpose(2, 0, 1)
            np.copyto(values[target : target + count, top:bottom], wanted)


def _ranges(bands: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Join bands that follow each other in the file too: target, source, number."""
    target = 0
    for place in range(1, len(bands) + 1):
        if place == len(bands) or bands[place] != bands[place - 1] + 1:
            yield target, bands[target], place - target
            target = place


def _scratch(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Make an array that is used only until the thread asks for the next."""
    size = math.prod(shape) * dtype.itemsize
    if size > _KEPT:
        return np.empty(shape, dtype)
    kept = getattr(_thread, 'kept', None)
    if kept is None or len(kept) < size:
        kept = _thread.kept = np.empty(size, np.uint8)
    return kept[:size].view(dtype).reshape(shape)


class _Strips:
    """The strips of a file, which are counted from 0, band after band."""

    def __init__(self, file: FileIO, layout: StripLayout) -> None:
        """Initialize a new _Strips instance.

        Args:
            file: File to read.
            layout: How its pixels are stored.

        Raises:
            ValueError: If the file ends before they do.
        """
        self._file = file
        self._layout = layout
        self._number = layout.num_strips
        self._full = layout.num_bytes(0)
        self._last = layout.num_bytes(self._number - 1)
        size = os.fstat(file.fileno()).st_size
        if layout.start:
            whole = self._place(layout.columns[0].count) <= size
        else:
            offsets, sizes = (self._column(column) for column in layout.columns)
            whole = bool(((offsets > 0) & (sizes > 0) & (sizes <= size)).all())
            whole = whole and bool((offsets <= size - sizes).all())
            self._offsets, self._sizes = offsets.tolist(), sizes.tolist()
        if not whole:
            raise ValueError(f'Expected all pixels, got {size} bytes.')

    def _column(self, column: StripColumn) -> np.ndarray:
        data = self._read(column.start, column.count * column.dtype.itemsize)
        return np.frombuffer(data, column.dtype).astype(np.int64)

    def _place(self, strip: int) -> int:
        """Find one of those that follow each other."""
        band, place = divmod(strip, self._number)
        size = (self._number - 1) * self._full + self._last
        return self._layout.start + band * size + place * self._full

    def fill(self, first: int, number: int, pixels: np.ndarray) -> None:
        """Read and decompress some that follow each other.

        Args:
            first: The first one.
            number: How many.
            pixels: Array of shape ``(rows, columns, samples)`` to fill, in one piece.

        Raises:
            DamagedError: If a checksum shows that they are damaged.
            OSError: If the file cannot be read.
            RuntimeError: If they cannot be decompressed.
            ValueError: If they have more bytes, or fewer.
        """
        out = pixels.reshape(-1).view(np.uint8)
        if self._layout.start:
            self._read_into(self._place(first), out)
            return
        offsets = self._offsets[first : first + number]
        sizes = self._sizes[first : first + number]
        parts = self._parts(first, number, out)
        if self._layout.compression == UNCOMPRESSED:
            for start, size, part in zip(offsets, sizes, parts, strict=True):
                if size != len(part):
                    raise ValueError(f'Expected {len(part)} bytes, got {size}.')
                self._read_into(start, part)
            return
        stored = self._stored(offsets, sizes)
        for piece, part in zip(stored, parts, strict=True):
            _decompress(self._layout.compression, piece, part)
        _unpredict(pixels, self._layout.predictor)

    def _parts(self, first: int, number: int, out: np.ndarray) -> Iterator[np.ndarray]:
        """Cut an array into what each of some strips fills."""
        start = 0
        for strip in range(first + 1, first + number + 1):
            stop = start + (self._full if strip % self._number else self._last)
            yield out[start:stop]
            start = stop

    def _stored(
        self, offsets: Sequence[int], sizes: Sequence[int]
    ) -> Iterator[memoryview]:
        """Read what is compressed, in one go if little else lies between."""
        start = min(offsets)
        stop = max(map(int.__add__, offsets, sizes))
        together = stop - start <= 2 * sum(sizes)
        data = memoryview(self._read(start, stop - start) if together else b'')
        for offset, size in zip(offsets, sizes, strict=True):
            if together:
                yield data[offset - start : offset - start + size]
            else:
                yield memoryview(self._read(offset, size))

    def _read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError(f'Expected {size} bytes at {start}, got {len(data)}.')
        return data

    def _read_into(self, start: int, out: np.ndarray) -> None:
        self._file.seek(start)
        if self._file.readinto(out) != len(out):
            raise ValueError(f'Expected {len(out)} bytes at {start}.')


def _decompress(compression: int, stored: Buffer, out: np.ndarray) -> None:
    """Decompress a strip, whose bytes fill *out*."""
    try:
        found = getattr(imagecodecs, LOSSLESS[compression])(stored, out=out)
    except imagecodecs.DeflateError as error:
        if not _has_its_checksum(stored):  # GDAL looks at few of them
            raise DamagedError('a strip has another checksum') from error
        raise
    if len(found) != len(out):
        raise ValueError(f'Expected {len(out)} bytes, got {len(found)}.')


def _has_its_checksum(stored: Buffer) -> bool:
    """Check a deflated strip of any size, a part at a time."""
    inflate, left = zlib.decompressobj(), bytes(stored)
    try:
        while not inflate.eof:
            part = inflate.decompress(left, _PART)
            left = inflate.unconsumed_tail
            if not part and not left:
                break
    except zlib.error:
        return False
    return inflate.eof


def _unpredict(pixels: np.ndarray, predictor: int) -> None:
    """Turn decompressed values of shape ``(rows, columns, samples)`` into pixels."""
    if predictor == 3:
        pixels[...] = imagecodecs.floatpred_decode(pixels, axis=-2)
    elif predictor == 2:
        whole = pixels.view(f'u{pixels.dtype.itemsize}')
        imagecodecs.delta_decode(whole, axis=-2, out=whole)

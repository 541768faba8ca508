"""Reading the strips and tiles of a file."""

import os
from collections.abc import Iterator, Sequence
from io import FileIO

import numpy as np

from .codecs import UNCOMPRESSED, decompress
from .layouts import Column, Layout


class Segments:
    """The strips or tiles of a file, which are counted from 0, band after band."""

    def __init__(self, file: FileIO, layout: Layout) -> None:
        """Initialize a new Segments instance.

        Args:
            file: File to read.
            layout: How its pixels are stored.

        Raises:
            ValueError: If the file ends before they do.
        """
        self._file = file
        self._layout = layout
        down, across = layout.grid
        self._number = down * across
        self._full, self._last = layout.num_bytes(0), layout.num_bytes(down - 1)
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

    def _column(self, column: Column) -> np.ndarray:
        data = self._read(column.start, column.count * column.dtype.itemsize)
        return np.frombuffer(data, column.dtype).astype(np.int64)

    def _place(self, segment: int) -> int:
        """Find one of those that follow each other."""
        band, place = divmod(segment, self._number)
        size = (self._number - 1) * self._full + self._last
        return self._layout.start + band * size + place * self._full

    def fill(self, first: int, number: int, out: np.ndarray) -> None:
        """Read and decompress some that follow each other.

        Args:
            first: The first one.
            number: How many.
            out: Array of bytes to fill, as many as they have.

        Raises:
            DamagedError: If a checksum shows that they are damaged.
            OSError: If the file cannot be read.
            RuntimeError: If they cannot be decompressed.
            ValueError: If they have more bytes, or fewer.
        """
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
            decompress(self._layout.compression, piece, part)

    def _parts(self, first: int, number: int, out: np.ndarray) -> Iterator[np.ndarray]:
        """Cut an array into what each of some strips or tiles fills."""
        start = 0
        for segment in range(first + 1, first + number + 1):
            stop = start + (self._full if segment % self._number else self._last)
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

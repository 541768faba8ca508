"""How the pixels of a TIFF are stored."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Column(NamedTuple):
    """Numbers that a file has of its strips or tiles, one for each.

    Attributes:
        start: Where the first one is.
        dtype: Their type, with its order of bytes.
        count: How many there are.
    """

    start: int
    dtype: np.dtype
    count: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the pixels of a file lie, and how they are stored.

    Attributes:
        count: Number of bands.
        height: Number of rows.
        width: Number of columns.
        dtype: Type of the pixels, in the order of bytes of this machine.
        swapped: Whether the file has the other order.
        separate: Whether bands follow each other; they alternate from pixel to pixel
            otherwise.
        block: Rows and columns of a strip or tile.
        tiled: Whether there are tiles, which are complete at the edges too.
        compression: How they are compressed.
        predictor: How pixels are derived from those beside them.
        nodata: The value that the file declares as no data.
        start: Where the pixels begin if they are uncompressed strips that follow each
            other, 0 otherwise.
        columns: Where the file says where its strips or tiles begin, and how many bytes
            they have.
    """

    count: int
    height: int
    width: int
    dtype: np.dtype
    swapped: bool
    separate: bool
    block: tuple[int, int]
    tiled: bool
    compression: int
    predictor: int
    nodata: float | None
    start: int
    columns: tuple[Column, Column]

    @property
    def samples(self) -> int:
        """How many values a strip or tile has for each pixel."""
        return 1 if self.separate else self.count

    @property
    def grid(self) -> tuple[int, int]:
        """How many strips or tiles there are below and beside each other."""
        rows, columns = self.block
        return -(-self.height // rows), -(-self.width // columns)

    def num_bytes(self, number: int) -> int:
        """Return how many bytes strip or tile *number* has when it is decompressed."""
        rows, columns = self.block
        if not self.tiled:
            rows = min(rows, self.height - number % self.grid[0] * rows)
        return rows * columns * self.samples * self.dtype.itemsize

"""Reading bands of a file, wherever it is of a plain kind."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .headers import find_layout
from .placing import fill_bands
from .segments import Segments

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


class Pixels(NamedTuple):
    """Bands of a raster as they are stored.

    Attributes:
        values: Array of shape ``(bands, H, W)`` in the type of the file.
        nodata: The value that the file declares as no data.
        num_bands: Number of bands in the file.
    """

    values: np.ndarray
    nodata: float | None
    num_bands: int


def read_pixels(
    path: Path | str, indexes: Sequence[int], out: np.ndarray | None = None
) -> Pixels | None:
    """Read bands of a TIFF of a plain kind.

    Args:
        path: File to read.
        indexes: Positions of the bands, counted from 1.
        out: Array for the bands, which is taken if it :func:`fits`.

    Returns:
        The bands; None if GDAL must read the file, or say what is wrong with it. Then
        *out* may hold anything.

    Raises:
        DamagedError: If a checksum shows that pixels are damaged.
    """
    try:
        with open(path, 'rb', buffering=0, opener=_open) as file:
            layout = find_layout(file)
            if layout is None or not 1 <= min(indexes) <= max(indexes) <= layout.count:
                return None
            segments = Segments(file, layout)
            shape = (len(indexes), layout.height, layout.width)
            if out is None or not fits(out, shape, layout.dtype):
                out = np.empty(shape, layout.dtype)
            fill_bands(out, segments, layout, [index - 1 for index in indexes])
    except _DAMAGED:
        return None
    return Pixels(out, layout.nodata, layout.count)


def _open(path: str, flags: int) -> int:
    # A pipe that nobody writes to would be waited for; files are opened all the same.
    return os.open(path, flags | os.O_NONBLOCK)


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

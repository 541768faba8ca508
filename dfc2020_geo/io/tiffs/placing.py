"""Putting what is in strips and tiles where it belongs."""

import math
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .codecs import unpredict
from .layouts import Layout
from .segments import Segments

#: Bytes of pixels that are put in order in one go, few enough for the processor's cache.
_BLOCK = 1 << 19

#: Bytes that a thread keeps for that from file to file.
_KEPT = 1 << 22

_thread = threading.local()


class _Run(NamedTuple):
    """Bands that follow each other: *number* from *source* on go to *target* and on."""

    target: int
    source: int
    number: int


def fill_bands(
    values: np.ndarray, segments: Segments, layout: Layout, bands: Sequence[int]
) -> None:
    """Fill an array with bands of a file.

    Args:
        values: Array of shape ``(bands, H, W)``, in one piece and of the file's type.
        segments: Strips or tiles of the file.
        layout: How its pixels are stored.
        bands: Positions of the bands, counted from 0.

    Raises:
        DamagedError: If a checksum shows that pixels are damaged.
        OSError: If the file cannot be read.
        RuntimeError: If something cannot be decompressed.
        ValueError: If there are fewer bytes than that takes, or more.
    """
    if layout.tiled:
        _fill_from_tiles(values, segments, layout, bands)
    elif layout.separate:
        _fill_from_bands(values, segments, layout, bands)
    else:
        _fill_from_rows(values, segments, layout, bands)


def _fill_from_bands(
    values: np.ndarray, segments: Segments, layout: Layout, bands: Sequence[int]
) -> None:
    """Read strips of single bands right to where they belong."""
    down, _ = layout.grid
    for run in _runs(bands):
        part = values[run.target : run.target + run.number]
        pixels = part.reshape(-1, layout.width, 1)
        _read(pixels, segments, layout, run.source * down, run.number * down)


def _fill_from_rows(
    values: np.ndarray, segments: Segments, layout: Layout, bands: Sequence[int]
) -> None:
    """Read strips of all bands, some rows at a time."""
    down, _ = layout.grid
    rows, width = layout.block
    number = max(1, _BLOCK // layout.num_bytes(0))
    runs = tuple(_runs(bands))
    for first in range(0, down, number):
        top, bottom = first * rows, min((first + number) * rows, layout.height)
        pixels = _scratch((bottom - top, width, layout.count), layout.dtype)
        _read(pixels, segments, layout, first, min(number, down - first))
        _place(values[:, top:bottom], pixels, runs)


def _fill_from_tiles(
    values: np.ndarray, segments: Segments, layout: Layout, bands: Sequence[int]
) -> None:
    """Read tiles one by one, and leave out what is beyond the edges."""
    down, across = layout.grid
    rows, columns = layout.block
    parts = [(0, tuple(_runs(bands)))]
    if layout.separate:
        parts = [(band, (_Run(i, 0, 1),)) for i, band in enumerate(bands)]
    pixels = _scratch((rows, columns, layout.samples), layout.dtype)
    for band, runs in parts:
        for number in range(down * across):
            top, left = number // across * rows, number % across * columns
            _read(pixels, segments, layout, band * down * across + number, 1)
            target = values[:, top : top + rows, left : left + columns]
            _place(target, pixels[: target.shape[1], : target.shape[2]], runs)


def _runs(bands: Sequence[int]) -> Iterator[_Run]:
    """Join bands that follow each other in the file too."""
    target = 0
    for place in range(1, len(bands) + 1):
        if place == len(bands) or bands[place] != bands[place - 1] + 1:
            yield _Run(target, bands[target], place - target)
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


def _read(
    pixels: np.ndarray, segments: Segments, layout: Layout, first: int, number: int
) -> None:
    """Fill an array of shape ``(rows, columns, samples)`` with strips or a tile."""
    segments.fill(first, number, pixels.reshape(-1).view(np.uint8))
    unpredict(pixels, layout.predictor, layout.swapped)


def _place(values: np.ndarray, pixels: np.ndarray, runs: Sequence[_Run]) -> None:
    for target, source, number in runs:
        wanted = pixels[:, :, source : source + number].transpose(2, 0, 1)
        np.copyto(values[target : target + number], wanted)

"""Uncompressed TIFFs without GDAL: where the pixels lie, and reading just those."""

import logging
import os
import re
import struct
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

#: What is read of each file at first; headers of patches are shorter.
_HEAD = 16_384

#: How many headers are remembered; files of one program have a few.
_NUM_HEADERS = 32

_TYPES = ('uint8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'float64')
_COMPRESSION = 259
_NODATA = 42113
_PHOTOMETRIC = (1, 2)  # black is zero, RGB
#: Tags that say nothing of pixels: where they lie on Earth, and GDAL's metadata.
_PLACE = (33550, 33922, 34264, 34735, 34736, 34737, 42112)
#: Tags of one value, and tags of one value for each band.
_SINGLE = (254, 256, 257, 259, 262, 266, 274, 277, 278, 284)
_PER_BAND = (258, 339)
_EXTRA_SAMPLES = 338
#: What is in the bands beyond the colours: anything, or two kinds of opacity.
_EXTRA = (0, 1, 2)
#: Where strips lie, texts and densities. Of a file with other tags GDAL decides.
_OTHER = (270, 273, 279, 282, 283, 296, 305, 306, 315, 33432, _NODATA)
#: What tags must say, if they are there: kind of page, order of bits and of rows.
_PLAIN = {254: 0, _COMPRESSION: 1, 266: 1, 274: 1}
_NUMBER = re.compile(r'[-+]?\d+(\.\d*)?([eE][-+]?\d+)?')

#: Bytes of one entry in the list of tags, at most.
_MAX_ENTRY = 20

#: Parts of a file's beginning, and where they are.
type _Header = tuple[tuple[slice, bytes], ...]

#: What tifffile raises for files that are damaged.
_DAMAGED = (ArithmeticError, LookupError, OSError, TypeError, ValueError, struct.error)


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


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the pixels of a file lie.

    Attributes:
        count: Number of bands.
        height: Number of rows.
        width: Number of columns.
        dtype: Type of the pixels, with its order of bytes.
        starts: Where each band begins; one place if bands alternate from pixel to
            pixel.
        nodata: The value that the file declares as no data.
    """

    count: int
    height: int
    width: int
    dtype: np.dtype
    starts: tuple[int, ...]
    nodata: float | None


#: What files of the same header have in common, None if GDAL must read them. Threads may
#: find the same twice, which costs no more than that.
_found: list[tuple[_Header, _Layout | None]] = []


def read_pixels(path: Path | str, indexes: Sequence[int]) -> Pixels | None:
    """Read bands of an uncompressed TIFF of the plainest kind.

    Args:
        path: File to read.
        indexes: Positions of the bands, counted from 1.

    Returns:
        The bands; None if GDAL must read the file, or say what is wrong with it.
    """
    try:
        with open(path, 'rb', buffering=0) as file:
            layout = _find_layout(file)
            if layout is None or not 1 <= min(indexes) <= max(indexes) <= layout.count:
                return None
            values = _read_bands(file, layout, [index - 1 for index in indexes])
    except _DAMAGED:
        return None
    if values is None:
        return None
    native = values.astype(values.dtype.newbyteorder('='), copy=False)
    return Pixels(native, layout.nodata, layout.count)


def _find_layout(file: FileIO) -> _Layout | None:
    """Recognise the layout of a file, or find it out."""
    head = file.read(_HEAD)
    for header, layout in _found:
        if all(head[place] == part for place, part in header):
            return layout
    file.seek(0)
    with _quiet(), tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        codes = [tag.code for tag in page.tags]
        # tifffile leaves out tags that it cannot read, and takes one of two.
        (number,) = struct.unpack_from(tiff.tiff.tagnoformat, head, page.offset)
        if codes != sorted(set(codes)) or len(codes) != number:
            return None
        layout = _describe(page, tiff.byteorder)
        header = _header(page, head, layout)
    if header is None:
        return None
    _found.insert(0, (header, layout))
    del _found[_NUM_HEADERS:]
    return layout


@contextmanager
def _quiet() -> Generator[None]:
    """Leave it to GDAL to say what is wrong with a file."""
    logger = tifffile.logger()
    logger.addFilter(_drop)
    try:
        yield
    finally:
        logger.removeFilter(_drop)


def _drop(record: logging.LogRecord) -> bool:
    return False


def _describe(page: tifffile.TiffPage, order: str) -> _Layout | None:
    if not all(_is_plain(tag, page.samplesperpixel) for tag in page.tags):
        return None
    if page.is_tiled or page.photometric not in _PHOTOMETRIC or page.dtype is None:
        return None
    dtype = np.dtype(page.dtype).newbyteorder('<' if order == '<' else '>')
    if dtype.name not in _TYPES or page.bitspersample != 8 * dtype.itemsize:
        return None
    shape = (page.samplesperpixel, page.imagelength, page.imagewidth)
    starts = _starts(page, shape, dtype.itemsize)
    declared = page.tags[_NODATA].value if _NODATA in page.tags else None
    if starts is None or not _is_clear(declared, dtype):
        return None
    nodata = None if declared is None else float(declared)
    return _Layout(*shape, dtype, starts, nodata)


def _is_plain(tag: tifffile.TiffTag, num_bands: int) -> bool:
    """Check that every reader understands a tag in the same way."""
    if tag.code in _SINGLE:
        return tag.count == 1 and tag.value == _PLAIN.get(tag.code, tag.value)
    if tag.code in _PER_BAND:
        alike = len(set(np.ravel(tag.value))) == 1
        return tag.count == num_bands and tag.dtype == tifffile.DATATYPE.SHORT and alike
    if tag.code == _EXTRA_SAMPLES:
        return tag.count < num_bands and set(_EXTRA).issuperset(np.ravel(tag.value))
    return tag.code in _PLACE or tag.code in _OTHER


def _starts(
    page: tifffile.TiffPage, shape: tuple[int, int, int], itemsize: int
) -> tuple[int, ...] | None:
    """Find out where each band begins, if nothing lies between its strips."""
    count, height, width = shape
    planes = 1 if page.planarconfig == 1 else count
    row = width * itemsize * count // planes
    offsets = np.array(page.dataoffsets, np.int64).reshape(planes, -1)
    sizes = np.array(page.databytecounts, np.int64).reshape(planes, -1)
    rows = min(page.rowsperstrip, height)
    if offsets.shape != sizes.shape or offsets.shape[1] != -(-height // rows):
        return None
    first = np.arange(0, height, rows)
    expected = np.minimum(rows, height - first) * row
    together = offsets[:, :1] + first * row
    whole = (sizes == expected).all() and (offsets == together).all()
    return tuple(offsets[:, 0].tolist()) if whole and offsets.all() else None


def _is_clear(declared: str | None, dtype: np.dtype) -> bool:
    """Check that every reader takes the same number for what stands in the tag."""
    if declared is None:
        return True
    if not isinstance(declared, str) or not _NUMBER.fullmatch(declared):
        return False
    value = float(declared)
    if dtype.kind == 'f':
        return abs(value) <= float(np.finfo(dtype).max)
    limits = np.iinfo(dtype)
    return value.is_integer() and int(limits.min) <= value <= int(limits.max)


def _header(
    page: tifffile.TiffPage, head: bytes, layout: _Layout | None
) -> _Header | None:
    """Take out of a file what tells that another has the same layout, if anything."""
    if layout is None:
        compression = page.tags.get(_COMPRESSION)
        if compression is None or compression.value == _PLAIN[_COMPRESSION]:
            return None
        end = compression.offset + _MAX_ENTRY
        return ((slice(end), head[:end]),)
    end = min(layout.starts)
    listed = max(tag.offset for tag in page.tags) + _MAX_ENTRY
    spans = sorted((t.valueoffset, t.valueoffset + t.valuebytecount) for t in page.tags)
    overlap = any(last > first for (_, last), (first, _) in pairwise(spans))
    if overlap or max(listed, spans[-1][1]) > end or end > len(head):
        return None
    places, start = [], 0
    for tag in sorted(page.tags, key=lambda tag: tag.valueoffset):
        if tag.code in _PLACE and tag.valueoffset >= listed:
            places.append(slice(start, tag.valueoffset))
            start = tag.valueoffset + tag.valuebytecount
    return tuple((place, head[place]) for place in [*places, slice(start, end)])


def _read_bands(
    file: FileIO, layout: _Layout, bands: Sequence[int]
) -> np.ndarray | None:
    """Read bands counted from 0; None if the file ends before they do."""
    count, height, width = layout.count, layout.height, layout.width
    size = count * height * width * layout.dtype.itemsize // len(layout.starts)
    if max(layout.starts) + size > os.fstat(file.fileno()).st_size:
        return None
    if len(layout.starts) < count:
        pixels = np.empty((height, width, count), layout.dtype)
        if not _fill(file, layout.starts[0], pixels):
            return None
        return pixels.transpose(2, 0, 1)[bands]
    values = np.empty((len(bands), height, width), layout.dtype)
    done = 0
    for number in _runs([layout.starts[band] for band in bands], values[0].nbytes):
        start = layout.starts[bands[done]]
        if not _fill(file, start, values[done : done + number]):
            return None
        done += number
    return values


def _runs(starts: Sequence[int], size: int) -> Iterator[int]:
    """Yield how many bands of *size* bytes follow each other in the file."""
    number = 1
    for before, start in pairwise(starts):
        if start == before + size:
            number += 1
        else:
            yield number
            number = 1
    yield number


def _fill(file: FileIO, start: int, values: np.ndarray) -> bool:
    file.seek(start)
    return file.readinto(values) == values.nbytes

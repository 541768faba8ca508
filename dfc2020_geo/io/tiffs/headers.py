"""Recognising files that are stored alike, so that few headers are taken apart."""

import logging
import struct
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from itertools import chain
from typing import NamedTuple

import numpy as np
import tifffile

from .codecs import UNCOMPRESSED
from .layouts import Layout
from .tags import SEGMENTS, SILENT, describe

#: What is read of a file's beginning, and of its tags if they lie behind that.
_HEAD = 16_384

#: How many headers are remembered; files of one program have a few.
_NUM_HEADERS = 32


class _Format(NamedTuple):
    """One of the ways in which TIFFs begin.

    Attributes:
        order: The order of bytes.
        start: Length of a file's beginning, which ends with the place of the tags.
        place: How that place is packed.
        number: How the number of tags is packed.
        entry: Bytes of a tag before its value, or before the place of its value.
    """

    order: str
    start: int
    place: struct.Struct
    number: struct.Struct
    entry: int


_FORMATS = {
    b'II*\0': _Format('<', 8, struct.Struct('<I'), struct.Struct('<H'), 8),
    b'MM\0*': _Format('>', 8, struct.Struct('>I'), struct.Struct('>H'), 8),
    b'II+\0': _Format('<', 16, struct.Struct('<Q'), struct.Struct('<Q'), 12),
    b'MM\0+': _Format('>', 16, struct.Struct('>Q'), struct.Struct('>Q'), 12),
}


class _Head(NamedTuple):
    """A file's beginning and its tags.

    Attributes:
        data: Both, one after the other if the tags lie far behind.
        format: How the file begins.
        tags: Where its tags are.
        shift: How far *data* has the tags before their place in the file.
    """

    data: bytes
    format: _Format
    tags: int
    shift: int

    def place(self, start: int, stop: int) -> slice | None:
        """Find a span of the file in *data*, if it is there."""
        if self.shift and stop > self.format.start:
            if start < self.tags:
                return None
            start, stop = start - self.shift, stop - self.shift
        return slice(start, stop) if stop <= len(self.data) else None

    def num_tags(self) -> int:
        """Return how many tags the file says it has."""
        (number,) = self.format.number.unpack_from(self.data, self.tags - self.shift)
        return number


#: Parts of a file's head that say how its pixels are stored.
type _Header = tuple[tuple[slice, bytes], ...]

#: What files of the same header have in common, None if GDAL must read them. Threads may
#: find the same twice, which costs no more than that.
_found: list[tuple[_Header, Layout | None]] = []

_thread = threading.local()


def find_layout(file: FileIO) -> Layout | None:
    """Recognise the layout of a file, or find it out.

    Args:
        file: The file, at its beginning.

    Returns:
        The layout; None if GDAL must read the file.
    """
    head = _read_head(file)
    for header, layout in tuple(_found):
        if all(head.data[place] == part for place, part in header):
            return layout
    file.seek(0)
    with _quiet(), tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        codes = [tag.code for tag in page.tags]
        # tifffile leaves out tags that it cannot read, and takes one of two.
        if codes != sorted(set(codes)) or len(codes) != head.num_tags():
            return None
        layout = describe(page, head.format.order)
        if layout is not None:
            layout = replace(layout, start=_start(page, layout))
        header = _header(page, head, layout)
    if header is not None:
        _found.insert(0, (header, layout))
        del _found[_NUM_HEADERS:]
    return layout


def _read_head(file: FileIO) -> _Head:
    data = file.read(_HEAD)
    sizes = _FORMATS[data[:4]]
    (tags,) = sizes.place.unpack_from(data, sizes.start - sizes.place.size)
    if tags <= _HEAD // 2:
        return _Head(data, sizes, tags, 0)
    file.seek(tags)
    data = data[: sizes.start] + file.read(_HEAD)
    return _Head(data, sizes, tags, tags - sizes.start)


@contextmanager
def _quiet() -> Generator[None]:
    """Leave it to GDAL to say what is wrong with a file."""
    tifffile.logger().addFilter(_is_heard)
    _thread.quiet = True
    try:
        yield
    finally:
        _thread.quiet = False


def _is_heard(record: logging.LogRecord) -> bool:
    return not getattr(_thread, 'quiet', False)


def _start(page: tifffile.TiffPage, layout: Layout) -> int:
    """Find out where the pixels begin, if nothing lies between them."""
    if layout.tiled or layout.compression != UNCOMPRESSED:
        return 0
    sizes = np.array(page.databytecounts, np.int64)
    offsets = np.array(page.dataoffsets, np.int64)
    expected = [layout.num_bytes(number) for number in range(len(sizes))]
    together = offsets == offsets[0] + np.cumsum([0, *expected[:-1]])
    return int(offsets[0]) if together.all() and (sizes == expected).all() else 0


def _header(
    page: tifffile.TiffPage, head: _Head, layout: Layout | None
) -> _Header | None:
    """Take out of a file what tells that another has the same layout, if it is there."""
    free = SILENT if layout is not None and layout.start else (*SILENT, *SEGMENTS)
    spans = chain.from_iterable(_spans(tag, head.format, free) for tag in page.tags)
    listed = head.tags + head.format.number.size
    first = [(0, head.format.start), (head.tags, listed)]
    places = [head.place(*span) for span in _joined([*first, *spans])]
    if None in places:
        return None
    return tuple((place, head.data[place]) for place in places if place is not None)


def _spans(
    tag: tifffile.TiffTag, sizes: _Format, free: tuple[int, ...]
) -> Iterator[tuple[int, int]]:
    """Yield where a tag stands, and its value if that must not differ."""
    value = tag.offset + sizes.entry
    yield tag.offset, value
    if tag.valueoffset != value:
        yield value, value + sizes.place.size
    if tag.code not in free:
        yield tag.valueoffset, tag.valueoffset + tag.valuebytecount


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join spans that touch each other."""
    spans = sorted(spans)
    start, stop = spans[0]
    for first, last in spans[1:]:
        if first > stop:
            yield start, stop
            start = first
        stop = max(stop, last) if first <= stop else last
    yield start, stop

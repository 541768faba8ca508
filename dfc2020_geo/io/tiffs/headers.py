"""Layout of the pixels of a baseline TIFF, as far as all readers agree on it.

Files that are stored alike are recognised, so that few headers are taken apart.
"""

import logging
import re
import struct
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from itertools import chain
from typing import NamedTuple
from xml.sax.saxutils import unescape

import numpy as np
import tifffile

UNCOMPRESSED = 1

#: How TIFF names ways of compression, and what undoes them. ZSTD is not here: imagecodecs
#: takes longer than GDAL for strips of a few KB, and takes some damaged ones for whole.
LOSSLESS = {5: 'lzw_decode', 8: 'deflate_decode', 32946: 'deflate_decode'}

#: Kinds of numbers for which there is each predictor.
PREDICTORS = {1: 'iuf', 2: 'iuf', 3: 'f'}

TYPES = ('uint8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'float64')

#: What is read of a file's beginning, and of its tags if they lie behind that.
_HEAD = 16_384

#: How many headers are remembered; files of one program have a few.
_NUM_HEADERS = 32

#: Bytes of pixels that a compressed file may hold; patches have a few million.
_MAX_BYTES = 1 << 28

#: A file begins with this (little-endian, no BigTIFF), and with the place of its tags.
_MAGIC = b'II*\0'
_PLACE, _NUMBER = struct.Struct('<I'), struct.Struct('<H')
#: A tag: code, type, number of values, and the value or its place.
_TAG = struct.Struct('<HHII')
#: Bytes of a value, of the types that tags of georeferencing have besides text.
_SIZES = {3: 2, 12: 8}
_START = 8
#: Bytes of a tag before its value, or before the place of its value.
_ENTRY = 8

#: Tags that say nothing of pixels: texts and densities, georeferencing, and GDAL's
#: metadata.
_TEXTS = (270, 282, 283, 296, 305, 306, 315, 33432)
_GEOREFERENCING = (33550, 33922, 34264, 34735, 34736, 34737)
_METADATA = 42112
_SILENT = (*_TEXTS, *_GEOREFERENCING, _METADATA)

#: How GDAL's metadata describe a band, of which they have the number, from 0.
_DESCRIPTION = re.compile(
    r'<Item name="DESCRIPTION" sample="(\d+)" role="description">([^<]*)</Item>'
)

_PREDICTOR = 317
_NODATA = 42113
_PHOTOMETRIC = (1, 2)  # black is zero, RGB
_SEPARATE = 2
#: Tags of one value, and tags of one value for each band.
_SINGLE = (254, 256, 257, 259, 262, 266, 274, 277, 278, 284, _PREDICTOR)
_PER_BAND = (258, 339)
_EXTRA_SAMPLES = 338
#: What is in the bands beyond the colours: anything, or two kinds of opacity.
_EXTRA = (0, 1, 2)
#: Where strips begin, and how many bytes they have.
_STRIPS = (273, 279)
#: What tags must say, if they are there: kind of page, order of bits, rows and bands.
_PLAIN = {254: (0,), 266: (1,), 274: (1,), 284: (1, _SEPARATE)}
_ENTITIES = {'&quot;': '"', '&apos;': "'"}
_DECIMAL = re.compile(r'[-+]?\d+(\.\d*)?([eE][-+]?\d+)?')

#: Types that whole numbers have in tags.
_SHORT = 3
_WHOLE = {_SHORT: '<u2', 4: '<u4'}


class StripColumn(NamedTuple):
    """Numbers that a file has of its strips, one for each.

    Attributes:
        start: Where the first one is.
        dtype: Their type, with its order of bytes.
        count: How many there are.
    """

    start: int
    dtype: np.dtype
    count: int


@dataclass(frozen=True, slots=True)
class StripLayout:
    """Where the pixels of a file lie, and how they are stored.

    Attributes:
        count: Number of bands.
        height: Number of rows.
        width: Number of columns.
        dtype: Type of the pixels.
        separate: Whether bands follow each other; they alternate from pixel to pixel
            otherwise.
        rows: Rows of a strip.
        compression: How strips are compressed.
        predictor: How pixels are derived from those beside them.
        nodata: The value that the file declares as no data.
        start: Where the pixels begin if they are uncompressed strips that follow each
            other, 0 otherwise.
        columns: Where the file says where its strips begin, and how many bytes they
            have.
        descriptions: Description of each band; empty if none is described.
    """

    count: int
    height: int
    width: int
    dtype: np.dtype
    separate: bool
    rows: int
    compression: int
    predictor: int
    nodata: float | None
    start: int
    columns: tuple[StripColumn, StripColumn]
    descriptions: tuple[str | None, ...] = ()

    @property
    def num_strips(self) -> int:
        """Number of strips below each other."""
        return -(-self.height // self.rows)

    def num_bytes(self, number: int) -> int:
        """Return how many bytes strip *number* has when it is decompressed.

        Args:
            number: Number of the strip, from 0.

        Returns:
            Number of bytes.
        """
        samples = 1 if self.separate else self.count
        rows = min(self.rows, self.height - number % self.num_strips * self.rows)
        return rows * self.width * samples * self.dtype.itemsize


class _FileHead(NamedTuple):
    """A file's beginning and its tags.

    Attributes:
        data: Both, one after the other if the tags lie far behind.
        tags: Where its tags are.
        shift: How far *data* has the tags before their place in the file.
    """

    data: bytes
    tags: int
    shift: int

    def place(self, start: int, stop: int) -> slice | None:
        """Find a span of the file in *data*, if it is there."""
        if self.shift and stop > _START:
            if start < self.tags:
                return None
            start, stop = start - self.shift, stop - self.shift
        return slice(start, stop) if stop <= len(self.data) else None

    def num_tags(self) -> int:
        """Return how many tags the file says it has."""
        (number,) = _NUMBER.unpack_from(self.data, self.tags - self.shift)
        return number


#: Parts of a file's head that say how its pixels are stored.
type _Header = tuple[tuple[slice, bytes], ...]

#: What files of the same header have in common, None if GDAL must read them. Threads may
#: find the same twice, which costs no more than that.
_found: list[tuple[_Header, StripLayout | None]] = []

_thread = threading.local()


def find_layout(file: FileIO) -> StripLayout | None:
    """Recognise the layout of a file, or find it out.

    Args:
        file: The file, at its beginning.

    Returns:
        The layout; None if GDAL must read the file.
    """
    head = _read_head(file)
    if head is None:
        return None
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
        layout = _describe(page)
        if layout is not None:
            layout = replace(layout, start=_find_start(page, layout))
        header = _find_header(page, head, layout)
    if header is not None:
        _found.insert(0, (header, layout))
        del _found[_NUM_HEADERS:]
    return layout


def read_georeferencing(file: FileIO) -> bytes:
    """Read what a file says of where its pixels lie, to compare it with other files.

    Args:
        file: The file, which :func:`find_layout` has recognised, at its beginning.

    Returns:
        Its tags of georeferencing with their values, as they are stored.
    """
    head = _read_head(file)
    assert head is not None, 'its layout was recognised'
    found = b''
    for number in range(head.num_tags()):
        start = head.tags - head.shift + _NUMBER.size + number * _TAG.size
        code, kind, count, value = _TAG.unpack_from(head.data, start)
        if code in _GEOREFERENCING:
            size = count * _SIZES.get(kind, 1)
            if size > _PLACE.size:
                file.seek(value)
                found += file.read(size)
            found += head.data[start : start + _ENTRY]
    return found


def _read_head(file: FileIO) -> _FileHead | None:
    data = file.read(_HEAD)
    if not data.startswith(_MAGIC) or sys.byteorder != 'little':
        return None
    (tags,) = _PLACE.unpack_from(data, _START - _PLACE.size)
    if tags <= _HEAD // 2:
        return _FileHead(data, tags, 0)
    file.seek(tags)
    return _FileHead(data[:_START] + file.read(_HEAD), tags, tags - _START)


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


def _describe(page: tifffile.TiffPage) -> StripLayout | None:
    """Find out how the pixels of a page are stored; None if GDAL must read them."""
    tags = {tag.code: tag for tag in page.tags}
    declared = tags[_NODATA].value if _NODATA in tags else None
    predictor = int(tags[_PREDICTOR].value) if _PREDICTOR in tags else 1
    dtype = None if page.dtype is None else np.dtype(page.dtype).newbyteorder('=')
    plain = (
        all(_is_plain(tag, page.samplesperpixel) for tag in page.tags)
        and page.photometric in _PHOTOMETRIC
        and dtype is not None
        and page.bitspersample == 8 * dtype.itemsize
        and _is_understood(page.compression, predictor, dtype)
        and _is_clear(declared, dtype)
    )
    found = (_column(tags[code]) for code in _STRIPS if code in tags)
    columns = [column for column in found if column is not None]
    if not plain or dtype is None or len(columns) < len(_STRIPS):
        return None
    layout = StripLayout(
        page.samplesperpixel,
        page.imagelength,
        page.imagewidth,
        dtype,
        separate=page.planarconfig == _SEPARATE or page.samplesperpixel == 1,
        rows=min(page.rowsperstrip, page.imagelength),
        compression=int(page.compression),
        predictor=predictor,
        nodata=None if declared is None else float(declared),
        start=0,
        columns=(columns[0], columns[1]),
        descriptions=_describe_bands(tags.get(_METADATA), page.samplesperpixel),
    )
    return layout if _is_consistent(layout) else None


def _describe_bands(
    tag: tifffile.TiffTag | None, num_bands: int
) -> tuple[str | None, ...]:
    """Read descriptions of bands in GDAL's metadata."""
    text = tag.value if tag is not None and isinstance(tag.value, str) else ''
    found = {
        int(number): unescape(description, _ENTITIES)
        for number, description in _DESCRIPTION.findall(text)
    }
    return tuple(map(found.get, range(num_bands))) if found else ()


def _is_plain(tag: tifffile.TiffTag, num_bands: int) -> bool:
    """Check that every reader understands a tag in the same way."""
    if tag.code in _SINGLE:
        return tag.count == 1 and tag.value in _PLAIN.get(tag.code, (tag.value,))
    if tag.code in _PER_BAND:
        alike = len(set(np.ravel(tag.value))) == 1
        return tag.count == num_bands and tag.dtype == _SHORT and alike
    if tag.code == _EXTRA_SAMPLES:
        return tag.count < num_bands and set(_EXTRA).issuperset(np.ravel(tag.value))
    return tag.code in (*_SILENT, *_STRIPS, _NODATA)


def _is_understood(compression: int, predictor: int, dtype: np.dtype) -> bool:
    if dtype.name not in TYPES:
        return False
    if compression == UNCOMPRESSED:
        return predictor == 1
    kinds = PREDICTORS.get(predictor, '')
    return compression in LOSSLESS and dtype.kind in kinds


def _column(tag: tifffile.TiffTag) -> StripColumn | None:
    if tag.dtype not in _WHOLE:
        return None
    return StripColumn(tag.valueoffset, np.dtype(_WHOLE[tag.dtype]), tag.count)


def _is_consistent(layout: StripLayout) -> bool:
    """Check that sizes and numbers of strips go together."""
    if not all((layout.count, layout.height, layout.width, layout.rows)):
        return False
    number = layout.num_strips * (layout.count if layout.separate else 1)
    compressed = layout.compression != UNCOMPRESSED
    if compressed and number * layout.num_bytes(0) > _MAX_BYTES:
        return False
    return all(column.count == number for column in layout.columns)


def _is_clear(declared: str | None, dtype: np.dtype) -> bool:
    """Check that every reader takes the same number for what stands in the tag."""
    if declared is None:
        return True
    if not isinstance(declared, str) or not _DECIMAL.fullmatch(declared):
        return False
    value = float(declared)
    if dtype.kind == 'f':
        # Readers round it to the type of the pixels, or do not.
        fitting = abs(value) <= float(np.finfo(dtype).max)
        return fitting and float(dtype.type(value)) == value
    limits = np.iinfo(dtype)
    return value.is_integer() and int(limits.min) <= value <= int(limits.max)


def _find_start(page: tifffile.TiffPage, layout: StripLayout) -> int:
    """Find out where the pixels begin, if nothing lies between them."""
    if layout.compression != UNCOMPRESSED:
        return 0
    sizes = np.array(page.databytecounts, np.int64)
    offsets = np.array(page.dataoffsets, np.int64)
    expected = [layout.num_bytes(number) for number in range(len(sizes))]
    together = offsets == offsets[0] + np.cumsum([0, *expected[:-1]])
    return int(offsets[0]) if together.all() and (sizes == expected).all() else 0


def _find_header(
    page: tifffile.TiffPage, head: _FileHead, layout: StripLayout | None
) -> _Header | None:
    """Take out of a file what tells that another has the same layout, if it is there."""
    free = _SILENT if layout is not None and layout.start else (*_SILENT, *_STRIPS)
    if layout is not None and layout.descriptions:  # others may describe others
        free = tuple(code for code in free if code != _METADATA)
    spans = chain.from_iterable(_spans(tag, free) for tag in page.tags)
    first = [(0, _START), (head.tags, head.tags + _NUMBER.size)]
    places = [head.place(*span) for span in _joined([*first, *spans])]
    if None in places:
        return None
    return tuple((place, head.data[place]) for place in places if place is not None)


def _spans(tag: tifffile.TiffTag, free: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield where a tag stands, and its value if that must not differ."""
    value = tag.offset + _ENTRY
    yield tag.offset, value
    if tag.valueoffset != value:
        yield value, value + _PLACE.size
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

"""What the tags of a TIFF say of its pixels, as long as all readers agree on it."""

import re

import numpy as np
import tifffile

from .codecs import LOSSLESS, PREDICTORS, UNCOMPRESSED
from .layouts import Column, Layout

TYPES = ('uint8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'float64')

#: Tags that say nothing of pixels: texts and densities, where the pixels lie on Earth,
#: and GDAL's metadata.
_TEXTS = (270, 282, 283, 296, 305, 306, 315, 33432)
_PLACE = (33550, 33922, 34264, 34735, 34736, 34737)
SILENT = (*_TEXTS, *_PLACE, 42112)

#: Bytes of pixels that a compressed file may hold; patches have a few million.
_MAX_BYTES = 1 << 28

_PREDICTOR = 317
_NODATA = 42113
_PHOTOMETRIC = (1, 2)  # black is zero, RGB
_SEPARATE = 2
#: Tags of one value, and tags of one value for each band.
_SINGLE = (254, 256, 257, 259, 262, 266, 274, 277, 278, 284, _PREDICTOR, 322, 323)
_PER_BAND = (258, 339)
_EXTRA_SAMPLES = 338
#: What is in the bands beyond the colours: anything, or two kinds of opacity.
_EXTRA = (0, 1, 2)
#: Where strips and tiles begin, and how many bytes they have.
_STRIPS, _TILES = (273, 279), (324, 325)
SEGMENTS = (*_STRIPS, *_TILES)
#: Tags that are looked at elsewhere. Of a file with other tags GDAL decides.
_OTHER = (*SEGMENTS, _NODATA)
#: What tags must say, if they are there: kind of page, order of bits, rows and bands.
_PLAIN = {254: (0,), 266: (1,), 274: (1,), 284: (1, _SEPARATE)}
_NUMBER = re.compile(r'[-+]?\d+(\.\d*)?([eE][-+]?\d+)?')

#: Types that whole numbers have in tags.
_SHORT = 3
_WHOLE = {_SHORT: 'u2', 4: 'u4', 16: 'u8'}


def describe(page: tifffile.TiffPage, order: str) -> Layout | None:
    """Find out how the pixels of a page are stored.

    Args:
        page: First page of a TIFF.
        order: Its order of bytes, ``<`` or ``>``.

    Returns:
        The layout, with *start* 0; None if GDAL must read the file.
    """
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
    columns = _columns(tags, page.is_tiled, order)
    if not plain or columns is None or dtype is None:
        return None
    layout = Layout(
        page.samplesperpixel,
        page.imagelength,
        page.imagewidth,
        dtype,
        swapped=np.dtype(f'{order}u2') != np.dtype('u2'),
        separate=page.planarconfig == _SEPARATE or page.samplesperpixel == 1,
        block=_block(page),
        tiled=page.is_tiled,
        compression=int(page.compression),
        predictor=predictor,
        nodata=None if declared is None else float(declared),
        start=0,
        columns=columns,
    )
    return layout if _is_consistent(layout) else None


def _is_plain(tag: tifffile.TiffTag, num_bands: int) -> bool:
    """Check that every reader understands a tag in the same way."""
    if tag.code in _SINGLE:
        return tag.count == 1 and tag.value in _PLAIN.get(tag.code, (tag.value,))
    if tag.code in _PER_BAND:
        alike = len(set(np.ravel(tag.value))) == 1
        return tag.count == num_bands and tag.dtype == _SHORT and alike
    if tag.code == _EXTRA_SAMPLES:
        return tag.count < num_bands and set(_EXTRA).issuperset(np.ravel(tag.value))
    return tag.code in SILENT or tag.code in _OTHER


def _is_understood(compression: int, predictor: int, dtype: np.dtype) -> bool:
    if dtype.name not in TYPES:
        return False
    if compression == UNCOMPRESSED:
        return predictor == 1
    kinds = PREDICTORS.get(predictor, '')
    return compression in LOSSLESS and dtype.kind in kinds


def _columns(
    tags: dict[int, tifffile.TiffTag], tiled: bool, order: str
) -> tuple[Column, Column] | None:
    codes, others = (_TILES, _STRIPS) if tiled else (_STRIPS, _TILES)
    if any(code in tags for code in others) or not all(code in tags for code in codes):
        return None
    columns = []
    for tag in (tags[code] for code in codes):
        if tag.dtype not in _WHOLE:
            return None
        dtype = np.dtype(f'{order}{_WHOLE[tag.dtype]}')
        columns.append(Column(tag.valueoffset, dtype, tag.count))
    return columns[0], columns[1]


def _block(page: tifffile.TiffPage) -> tuple[int, int]:
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _is_consistent(layout: Layout) -> bool:
    """Check that sizes and numbers of strips or tiles go together."""
    if not all((layout.count, layout.height, layout.width, *layout.block)):
        return False
    if layout.tiled and any(side % 16 for side in layout.block):
        return False
    down, across = layout.grid
    number = down * across * (layout.count if layout.separate else 1)
    compressed = layout.compression != UNCOMPRESSED
    if compressed and number * layout.num_bytes(0) > _MAX_BYTES:
        return False
    return all(column.count == number for column in layout.columns)


def _is_clear(declared: str | None, dtype: np.dtype) -> bool:
    """Check that every reader takes the same number for what stands in the tag."""
    if declared is None:
        return True
    if not isinstance(declared, str) or not _NUMBER.fullmatch(declared):
        return False
    value = float(declared)
    if dtype.kind == 'f':
        # Readers round it to the type of the pixels, or do not.
        fitting = abs(value) <= float(np.finfo(dtype).max)
        return fitting and float(dtype.type(value)) == value
    limits = np.iinfo(dtype)
    return value.is_integer() and int(limits.min) <= value <= int(limits.max)

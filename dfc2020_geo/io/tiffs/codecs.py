"""Decompressing strips and tiles, and undoing what prepares them for compression."""

import zlib
from collections.abc import Buffer

import imagecodecs
import numpy as np

UNCOMPRESSED = 1

#: How TIFF names ways of compression, and what undoes them. ZSTD is not here: imagecodecs
#: takes longer than GDAL for strips of a few KB, and takes some damaged ones for whole.
LOSSLESS = {5: 'lzw_decode', 8: 'deflate_decode', 32946: 'deflate_decode'}

#: Bytes that are looked at in one go, of what may be far more than it seems.
_PART = 1 << 20

#: Kinds of numbers for which there is each predictor.
PREDICTORS = {1: 'iuf', 2: 'iuf', 3: 'f'}


class DamagedError(Exception):
    """Raised where a checksum shows that pixels are not what was written."""


def decompress(compression: int, stored: Buffer, out: np.ndarray) -> None:
    """Decompress a strip or tile.

    Args:
        compression: One of :data:`LOSSLESS`.
        stored: The compressed bytes.
        out: Array of bytes to fill.

    Raises:
        DamagedError: If they are certainly damaged.
        RuntimeError: If it cannot be done.
        ValueError: If they are not as many as *out* has.
    """
    try:
        found = getattr(imagecodecs, LOSSLESS[compression])(stored, out=out)
    except imagecodecs.DeflateError as error:
        if not _has_its_checksum(stored):  # GDAL looks at few of them
            raise DamagedError('a strip or tile has another checksum') from error
        raise
    if len(found) != len(out):
        raise ValueError(f'Expected {len(out)} bytes, got {len(found)}.')


def _has_its_checksum(stored: Buffer) -> bool:
    """Check a deflated strip or tile, of any size, a part at a time."""
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


def unpredict(pixels: np.ndarray, predictor: int, swapped: bool) -> None:
    """Turn decompressed values into pixels, in place.

    Args:
        pixels: Array of shape ``(rows, columns, samples)``, as decompressed.
        predictor: One of :data:`PREDICTORS`.
        swapped: Whether the file has the other order of bytes.
    """
    if predictor == 3:  # has an order of bytes of its own
        pixels[...] = imagecodecs.floatpred_decode(pixels, axis=-2)
        return
    if swapped:
        pixels.byteswap(inplace=True)
    if predictor == 2:
        whole = pixels.view(f'u{pixels.dtype.itemsize}')
        imagecodecs.delta_decode(whole, axis=-2, out=whole)

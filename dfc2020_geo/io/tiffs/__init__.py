"""Bands of TIFFs without GDAL: strips, uncompressed, deflate or LZW, predictors 1 to 3.

`headers` finds out how the pixels of a file are stored, and recognises files that are
stored alike; `strips` reads and decompresses them. Tiles, BigTIFF, big-endian files and
all that is unusual, or seems damaged, are left to GDAL.
"""

from .strips import BandLocator, DamagedError, RawBands, fits, read_header, read_strips

__all__ = [
    'BandLocator',
    'DamagedError',
    'RawBands',
    'fits',
    'read_header',
    'read_strips',
]

"""Bands of TIFFs without GDAL, as long as the file is of a kind that is plain.

`tags` finds out how the pixels of a file are stored (`layouts`), `headers` recognises
files that are stored alike, `segments` reads strips and tiles, `codecs` decompresses
them, `placing` makes bands of them. Whatever is unusual, or seems damaged, is left to
GDAL: the answer is None then.
"""

from .bands import Pixels, fits, read_pixels
from .codecs import DamagedError

__all__ = ['DamagedError', 'Pixels', 'fits', 'read_pixels']

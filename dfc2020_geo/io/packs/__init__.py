"""Packed data sets: a tree of rasters in a few large files, read without opening them.

A pack holds, for each raster of its source, all bands as they are stored, a checksum of
each band, the value that means no data, and the place on Earth.
"""

from .checking import find_damage
from .manifest import MANIFEST, UNFINISHED
from .reader import Pack, open_pack

__all__ = ['MANIFEST', 'UNFINISHED', 'Pack', 'find_damage', 'open_pack']

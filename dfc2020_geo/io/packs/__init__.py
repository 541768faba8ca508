"""Packed data sets: a tree of rasters in a few large files, read without opening them.

A pack holds, for each raster of its source, all bands as they are stored, a checksum of
each band, the nodata value, and size, CRS and geotransform.
"""

from .manifest import MANIFEST
from .pack import Pack, find_damage, open_pack

__all__ = ['MANIFEST', 'Pack', 'find_damage', 'open_pack']

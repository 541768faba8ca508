"""Making packs: ``dfc2020-geo pack``."""

from .pack import Packed, pack_tree

__all__ = ['Packed', 'pack_tree']

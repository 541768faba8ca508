"""Batches of patches as stored, by threads or processes."""

from .collating import (
    Batch,
    Stored,
    StoredPatches,
    StoresPatches,
    collate_stored,
    is_stored,
    require_one_size,
)
from .threads import ThreadedLoader

__all__ = [
    'Batch',
    'Stored',
    'StoredPatches',
    'StoresPatches',
    'ThreadedLoader',
    'collate_stored',
    'is_stored',
    'require_one_size',
]

"""Loaders of raw patches, with threads or processes as workers."""

from .loaders import ResumableLoader, ThreadedLoader
from .raw_batches import (
    RawPatch,
    RawPatchDataset,
    RawPatches,
    collate_raw,
    reads_raw,
    require_one_size,
)

__all__ = [
    'RawPatch',
    'RawPatchDataset',
    'RawPatches',
    'ResumableLoader',
    'ThreadedLoader',
    'collate_raw',
    'reads_raw',
    'require_one_size',
]

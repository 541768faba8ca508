"""Resumable samplers of patches, windows of scenes, and tiling with blending."""

from .resumable import ResumableSampler
from .tiling import Axis, Blending, Span
from .windows import PatchWindow, WindowSampler

__all__ = [
    'Axis',
    'Blending',
    'PatchWindow',
    'ResumableSampler',
    'Span',
    'WindowSampler',
]

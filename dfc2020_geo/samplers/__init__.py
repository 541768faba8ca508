"""Samplers of patches and of windows in scenes; how a scene is cut into tiles."""

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

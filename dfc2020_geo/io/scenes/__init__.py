"""Scenes of Sentinel-1 and Sentinel-2 of any size, read window by window."""

from .checks import check_scene, sample_pixels, sample_scene, take_fills
from .headers import limit_cache
from .opening import open_scene
from .reading import Scene
from .warping import ResamplingName

__all__ = [
    'ResamplingName',
    'Scene',
    'check_scene',
    'limit_cache',
    'open_scene',
    'sample_pixels',
    'sample_scene',
    'take_fills',
]

"""Maps of whole scenes: planned in tiles, predicted, written row by row."""

from .datamodule import SceneDataModule
from .map_scene import map_scene
from .progress import SceneProgress, show_megapixels
from .writer import SceneMapWriter

__all__ = [
    'SceneDataModule',
    'SceneMapWriter',
    'SceneProgress',
    'map_scene',
    'show_megapixels',
]

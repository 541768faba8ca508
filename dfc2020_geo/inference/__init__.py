"""Maps of whole scenes: planned in tiles, predicted, written row by row."""

from .datamodule import SceneDataModule
from .images import predict_image
from .map_scene import SceneProgress, map_scene, run_maps
from .writer import SceneMapWriter

__all__ = [
    'SceneDataModule',
    'SceneMapWriter',
    'SceneProgress',
    'map_scene',
    'predict_image',
    'run_maps',
]

"""Images and labels of whole scenes, indexed by coordinates as torchgeo does."""

from .joined import JoinedScenes
from .matching import open_scenes
from .sentinel import LabelScenes, Sentinel1Scenes, Sentinel2Scenes

__all__ = [
    'JoinedScenes',
    'LabelScenes',
    'Sentinel1Scenes',
    'Sentinel2Scenes',
    'open_scenes',
]

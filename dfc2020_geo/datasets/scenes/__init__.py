"""torchgeo ``RasterDataset``s of Sentinel-1, Sentinel-2 and label scenes."""

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

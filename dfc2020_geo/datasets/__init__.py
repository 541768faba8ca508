"""torchgeo datasets: SEN12MS, DFC2020, unlabelled patches, Sentinel scenes, labels."""

from .dfc2020 import DFC2020Patches
from .indexing.files import PatchFiles
from .patches import PatchDataset, PatchesNotFoundError
from .scenes.joined import JoinedScenes
from .scenes.matching import open_scenes
from .scenes.sentinel import LabelScenes, Sentinel1Scenes, Sentinel2Scenes
from .sen12ms import SEN12MSPatches
from .unlabeled import UnlabeledPatches

__all__ = [
    'DFC2020Patches',
    'JoinedScenes',
    'LabelScenes',
    'PatchDataset',
    'PatchFiles',
    'PatchesNotFoundError',
    'SEN12MSPatches',
    'Sentinel1Scenes',
    'Sentinel2Scenes',
    'UnlabeledPatches',
    'open_scenes',
]

"""Datasets of patches for training, scoring and prediction."""

from .dfc2020 import DFC2020Patches
from .pairing import PatchFiles
from .patches import PatchDataset, PatchesNotFoundError
from .sen12ms import SEN12MSPatches
from .unlabeled import UnlabeledPatches

__all__ = [
    'DFC2020Patches',
    'PatchDataset',
    'PatchFiles',
    'PatchesNotFoundError',
    'SEN12MSPatches',
    'UnlabeledPatches',
]

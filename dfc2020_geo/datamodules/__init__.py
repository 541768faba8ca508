"""Datamodules of patches and of scenes; the order of training in checkpoints."""

from .base import ResumableDataModule
from .patches import LandCoverDataModule
from .scenes import SceneTrainingDataModule

__all__ = ['LandCoverDataModule', 'ResumableDataModule', 'SceneTrainingDataModule']

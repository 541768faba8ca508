"""Tasks: a network with its loss, its optimiser and its scores."""

from .checkpoints import AtomicCheckpointIO
from .segmentation import LandCoverSegmentation

__all__ = ['AtomicCheckpointIO', 'LandCoverSegmentation']

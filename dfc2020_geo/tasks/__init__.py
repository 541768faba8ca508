"""Tasks: a network with its loss, its optimiser and its scores."""

from .segmentation import LandCoverSegmentation

__all__ = ['LandCoverSegmentation']

"""Scaling, band selection and exact augmentations, as kornia operations on the device.

All of them work on batches ``(B, C, H, W)`` inside
:class:`kornia.augmentation.AugmentationSequential`, and on their own as the
``transforms`` of a dataset, on samples of shape ``(C, H, W)``.
"""

from .scaling import ScaleBands, mean_and_std, value_ranges
from .selection import SelectBands
from .symmetries import RandomD4

__all__ = ['RandomD4', 'ScaleBands', 'SelectBands', 'mean_and_std', 'value_ranges']

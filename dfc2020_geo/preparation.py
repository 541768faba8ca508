"""From a batch in file units to what a network reads, on the batch's device."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from kornia.augmentation import AugmentationSequential
from torch import Tensor, nn

from .bands import Band, select_bands
from .classes import IGNORE_INDEX
from .transforms import NaN, ScaleBands

Batch = dict[str, Tensor]

# kornia fills what it moves into a mask with 0. So ignored pixels go through it as 0,
# and the first class as 1.
_FILL = 0

#: Two values with room between them, to see whether something interpolates a mask.
_PROBE = (1, 201)


class PrepareBatch(nn.Module):
    """Scale the images of a batch and augment them together with their masks."""

    def __init__(
        self,
        bands: Sequence[str | Band],
        nan: NaN = 'lowest',
        augmentations: Sequence[nn.Module] = (),
    ) -> None:
        """Initialize a new PrepareBatch instance.

        Args:
            bands: The channels of the images, as names of bands or band sets.
            nan: What NaN becomes, see :class:`~dfc2020_geo.transforms.ScaleBands`.
            augmentations: kornia operations, applied in order after scaling.

        Raises:
            ValueError: If a band is unknown or an augmentation would make class
                indices of its own in masks.
        """
        super().__init__()
        for augmentation in augmentations:
            _check_masks(augmentation, len(select_bands(bands)))
        self.operations = _sequence(ScaleBands(bands, nan), *augmentations)

    def forward(self, batch: Batch) -> Batch:
        """Prepare a batch.

        Args:
            batch: ``'image'`` of shape ``(B, C, H, W)`` in file units, float32, and
                perhaps ``'mask'`` of shape ``(B, H, W)``, int64 class indices.

        Returns:
            The batch with images scaled to ``[0, 1]`` and augmented with their masks;
            pixels moved in from outside are ignored.
        """
        if 'mask' not in batch:
            return self.operations(batch)
        mask = batch['mask']
        shifted = (mask + 1).where(mask != IGNORE_INDEX, _FILL)
        batch = self.operations(batch | {'mask': shifted})
        mask = batch['mask']
        return batch | {'mask': (mask - 1).where(mask != _FILL, IGNORE_INDEX)}


def _sequence(*operations: Any) -> AugmentationSequential:
    return AugmentationSequential(*operations, data_keys=None, keepdim=True)


def _check_masks(augmentation: nn.Module, num_channels: int) -> None:
    """Refuse an augmentation whose masks hold other indices than it was given."""
    name = type(augmentation).__name__
    augmentation = copy.deepcopy(augmentation)
    for probability in ('p', 'p_batch'):
        if hasattr(augmentation, probability):
            setattr(augmentation, probability, 1.0)
    low, high = _PROBE
    mask = torch.full((8, 256, 256), low)
    mask[:, ::3, ::5] = mask[:, 100:150, 90:170] = high
    image = torch.rand(8, num_channels, 256, 256, generator=torch.Generator())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            found = _sequence(augmentation)({'image': image, 'mask': mask})['mask']
        except NotImplementedError:
            raise ValueError(
                f'Expected augmentations that move masks with their images, got {name}.'
            ) from None
    if made := set(found.unique().tolist()) - {*_PROBE, _FILL}:
        raise ValueError(
            f'Expected augmentations that keep class indices as they are, got {name}, '
            f'which interpolates masks ({low} and {high} became {sorted(made)[:3]}).'
        )

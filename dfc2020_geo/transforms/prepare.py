"""Preparation of a batch in file units for the network, on the batch's device."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from kornia.augmentation import AugmentationSequential
from torch import Tensor, nn

from ..bands import BANDS, Band, NanPolicy, select_bands
from ..classes import IGNORE_INDEX
from .scaling import ScaleBands

Batch = dict[str, Tensor]

_SENSORS = tuple(dict.fromkeys(band.sensor for band in BANDS.values()))

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
        nan: NanPolicy = 'lowest',
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
        self.scaling = ScaleBands(bands, nan)
        # kornia takes no images of integers, so it comes after the scaling.
        self.augmentation = _sequence(*augmentations) if augmentations else None

    def forward(self, batch: Batch) -> Batch:
        """Prepare a batch.

        Args:
            batch: ``'image'`` of shape ``(B, C, H, W)`` in file units, float32, or
                ``'s2'`` (uint16 or float32) and ``'s1'`` (float32), raw; and, with
                labels, ``'mask'`` of shape ``(B, H, W)``, class indices, int64 or uint8.

        Returns:
            The batch with ``'image'`` scaled to ``[0, 1]``, augmented with its mask,
            int64; pixels moved in from outside are ignored.

        Raises:
            ValueError: If it has other bands.
        """
        batch = self._scale(batch)
        if batch.get('mask', batch['image']).dtype == torch.uint8:
            batch['mask'] = batch['mask'].long()
        if self.augmentation is None:
            return batch
        if 'mask' not in batch:
            return self.augmentation(batch)
        mask = batch['mask']
        shifted = (mask + 1).where(mask != IGNORE_INDEX, _FILL)
        batch = self.augmentation(batch | {'mask': shifted})
        mask = batch['mask']
        return batch | {'mask': (mask - 1).where(mask != _FILL, IGNORE_INDEX)}

    def _scale(self, batch: Batch) -> Batch:
        """Return a copy of a batch with its image scaled, joined if it is in parts."""
        if 'image' in batch:
            return batch | {'image': self.scaling(batch['image'])}
        return _replace_bands(batch, self.scaling.join(take_bands(batch).values()))


def take_bands(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Take what holds bands out of a batch, in channel order.

    Args:
        batch: A batch with ``'image'``, or with ``'s2'`` and ``'s1'``.

    Returns:
        Images of shape ``(B, C, H, W)`` by their names.
    """
    names = ('image',) if 'image' in batch else _SENSORS
    return {name: batch[name] for name in names if name in batch}


def join_bands(batch: Batch) -> Batch:
    """Put the bands of stored patches together, in file units.

    Args:
        batch: A batch with ``'s2'``, ``'s1'`` or both.

    Returns:
        The batch with ``'image'`` of shape ``(B, C, H, W)``, float32, in their place.
    """
    parts = [part.float() for part in take_bands(batch).values()]
    return _replace_bands(batch, torch.cat(parts, dim=-3))


def as_batch(
    image: Tensor | np.ndarray | Mapping[str, Any], bands: Sequence[str]
) -> tuple[Batch, bool]:
    """Make a batch of what people have at hand: an array, a sample or a batch.

    Args:
        image: Image of shape ``(C, H, W)`` or images of shape ``(B, C, H, W)``, of any
            real type, or a sample or batch with ``'image'``, or with ``'s2'``,
            ``'s1'`` or both.
        bands: Names of the channels.

    Returns:
        The bands alone, as :func:`take_bands` gives them, float, and whether it was
        one image.

    Raises:
        ValueError: If there are other channels, or another number of axes.
    """
    if not isinstance(image, Mapping):
        image = {'image': image}
    parts = {name: _as_tensor(part) for name, part in take_bands(image).items()}
    shapes = [tuple(part.shape) for part in parts.values()]
    axes = {len(shape) for shape in shapes}
    if not (axes <= {3, 4} and sum(s[-3] for s in shapes) == len(bands)):
        raise ValueError(
            f'Expected an image of shape (C, H, W), or images of shape (B, C, H, W), '
            f'with the {len(bands)} bands {", ".join(bands)}, got {shapes or [*image]}; '
            'dfc2020_geo.transforms.SelectBands takes them out of more.'
        )
    is_one = axes == {3}
    return {name: p[None] if is_one else p for name, p in parts.items()}, is_one


def _as_tensor(values: Tensor | np.ndarray) -> Tensor:
    if not isinstance(values, Tensor):
        values = torch.from_numpy(np.array(values))  # torch takes no read-only memory
    return values if values.is_floating_point() else values.float()


def _replace_bands(batch: Batch, image: Tensor) -> Batch:
    others = {key: batch[key] for key in batch if key not in _SENSORS}
    return {'image': image, **others}


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

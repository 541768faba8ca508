"""Scaling from file units to ``[0, 1]``."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate
from typing import Any, get_args

import torch
from kornia.augmentation import IntensityAugmentationBase2D
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from ..bands import VALUE_RANGE, Band, NanPolicy, Sensor, select_bands
from ..io.memory import ReusedMemory

#: Values that are scaled in one go: they fit the CPU's cache, and are too few for torch
#: to divide among threads, which takes longer than the work where others are busy.
_BLOCK = 2**15 - 1

#: What augmentations of scaled bands stay within.
_UNSCALED = (-1.0, 2.0)


def value_ranges(bands: Sequence[str | Band]) -> tuple[Tensor, Tensor]:
    """Return what is scaled to 0 and to 1 in each channel.

    Args:
        bands: Names of bands or band sets.

    Returns:
        Lowest and highest value of each channel, two tensors of shape ``(C,)``.
    """
    ranges = [VALUE_RANGE[band.sensor] for band in select_bands(bands)]
    low, high = torch.tensor(ranges).T
    return low.contiguous(), high.contiguous()


def mean_and_std(bands: Sequence[str | Band]) -> tuple[Tensor, Tensor]:
    """Return what torchgeo's ``Denormalize`` undoes the scaling with.

    Args:
        bands: Names of bands or band sets.

    Returns:
        What is subtracted from each channel, and what it is divided by then, two
        tensors of shape ``(C,)``.
    """
    low, high = value_ranges(bands)
    return low, high - low


class SampleOperation(IntensityAugmentationBase2D):
    """A kornia operation that also takes a sample, of which it changes the image."""

    def __init__(self) -> None:
        """Initialize a new SampleOperation instance."""
        super().__init__(p=1, same_on_batch=True, keepdim=True)

    def forward(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the operation to an image or to the ``'image'`` of a sample.

        Args:
            input: Images of shape ``(B, C, H, W)`` or ``(C, H, W)``, or a sample.
            args: As kornia has them.
            kwargs: As kornia has them.

        Returns:
            The images, or the sample with its image in its place.
        """
        if isinstance(input, dict):
            return input | {'image': super().forward(input['image'], *args, **kwargs)}
        return super().forward(input, *args, **kwargs)


class ScaleBands(SampleOperation):
    """Clip each band to its sensor's value range and scale it to ``[0, 1]``.

    Samples of datasets hold file units: reflectance x 10 000 of Sentinel-2, sigma
    nought in dB of Sentinel-1. With ``nan='baseline'`` the result is bit-equal to the
    2020 baseline's input.

    >>> import torch
    >>> scale = ScaleBands(['B04', 'VV'])
    >>> image = torch.tensor([2500.0, -5.0]).reshape(2, 1, 1)
    >>> scale({'image': image})['image'].flatten().tolist()
    [0.25, 0.800000011920929]
    """

    def __init__(self, bands: Sequence[str | Band], nan: NanPolicy = 'lowest') -> None:
        """Initialize a new ScaleBands instance.

        Args:
            bands: The channels of the image, as names of bands or band sets.
            nan: What NaN becomes: ``'lowest'``, the low end of the band's range, or
                ``'baseline'``, 0 dB in Sentinel-1 as in 2020.

        Raises:
            ValueError: If a band or *nan* is unknown.
        """
        super().__init__()
        if nan not in get_args(NanPolicy):
            raise ValueError(
                f"Expected nan to be one of {get_args(NanPolicy)}, got '{nan}'."
            )
        # In channel order, in which the bands of a sensor follow each other.
        self.counts = Counter(band.sensor for band in select_bands(bands))
        self.nan = {
            sensor: VALUE_RANGE[sensor][0] if nan == 'lowest' else 0.0
            for sensor in self.counts
        }
        # Beside the batch at hand, the one before it is often still held.
        self._memory = ReusedMemory(2)

    def apply_transform(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Scale images.

        Args:
            input: Images of shape ``(B, C, H, W)``, float, in file units.
            params: What kornia has drawn; nothing is.
            flags: kornia's flags, of no use here.
            transform: kornia's matrix, of no use here.

        Returns:
            The images in ``[0, 1]``, of the same type.

        Raises:
            ValueError: If there are not as many channels as bands.
        """
        return self.join(self._split(input, 1)).to(input.dtype)

    def join(self, parts: Iterable[Tensor]) -> Tensor:
        """Scale the bands of the sensors, and put them together on the way.

        Args:
            parts: Sentinel-2, then Sentinel-1, as far as there are bands of them: each
                ``(B, C, H, W)`` in file units, real numbers of any type.

        Returns:
            New images of shape ``(B, C, H, W)``, float32 (float64 if a part is), the
            same to the last bit as float images scaled.

        Raises:
            ValueError: If a sensor is missing or has other bands or another size.
        """
        parts = list(parts)
        shapes = [tuple(part.shape) for part in parts]
        sizes = {(batch, *size) for batch, _, *size in shapes}
        if len(sizes) != 1 or [x[1] for x in shapes] != [*self.counts.values()]:
            raise ValueError(
                f'Expected images of one size with the bands {dict(self.counts)} to '
                f'scale, got {shapes}.'
            )
        ((batch, *size),) = sizes
        dtype = reduce(torch.promote_types, (x.dtype for x in parts), torch.float32)
        shape = (batch, self.counts.total(), *size)
        image = self._memory.empty(shape, dtype, parts[0])
        targets = self._split(image, 1)
        for sensor, target, part in zip(self.counts, targets, parts, strict=True):
            self._fill(target, part, sensor)
        return image

    def scale_(
        self, image: Tensor, is_finite: bool = False, source: Tensor | None = None
    ) -> Tensor:
        """Scale one image in place, with the same result to the last bit.

        On the CPU it is several times faster, since no block leaves its cache
        before it is done.

        Args:
            image: Image of shape ``(C, H, W)``, float32.
            is_finite: Whether it is known to hold no NaN.
            source: Where its values are copied from, if they are not in it yet.

        Returns:
            The image.
        """
        sources = self._split(image if source is None else source, 0)
        for sensor, part, values in zip(
            self.counts, self._split(image, 0), sources, strict=True
        ):
            nan = None if is_finite else self.nan[sensor]
            for block, stored in _blocks(part, values):
                scale_range_(
                    block, *VALUE_RANGE[sensor], nan, None if source is None else stored
                )
        return image

    def _split(self, image: Tensor, axis: int) -> list[Tensor]:
        """Split the channels of an image by sensor."""
        if image.shape[axis] != self.counts.total():
            raise ValueError(
                f'Expected images of {self.counts.total()} bands to scale, '
                f'got {image.shape[axis]}.'
            )
        ends = accumulate(self.counts.values())
        return [
            image.narrow(axis, end - count, count)
            for count, end in zip(self.counts.values(), ends, strict=True)
        ]

    def _fill(self, target: Tensor, part: Tensor, sensor: Sensor) -> None:
        """Scale a part into its target; on the CPU image by image, for its cache."""
        nan = self.nan[sensor] if part.is_floating_point() else None
        indices = range(len(part)) if part.device.type == 'cpu' else [slice(None)]
        for index in indices:
            scale_range_(target[index].copy_(part[index]), *VALUE_RANGE[sensor], nan)


def _blocks(image: Tensor, source: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut two images of shape ``(C, H, W)`` into what stays in the CPU's cache."""
    if image.device.type != 'cpu':
        yield image, source
        return
    num_rows = max(1, _BLOCK // max(1, image.shape[-1]))
    for plane, values in zip(image, source, strict=True):
        yield from zip(plane.split(num_rows), values.split(num_rows), strict=True)


def warn_unscaled(image: Tensor) -> None:
    """Warn of values that no scaling to ``[0, 1]`` gives, nor a jitter after it.

    Args:
        image: What a network is given, of any shape, float.
    """
    low, high = (
        (float(x) for x in image.detach().aminmax()) if image.numel() else (0, 1)
    )
    if low < _UNSCALED[0] or high > _UNSCALED[1]:
        rank_zero_warn(
            f'Expected bands scaled to 0 to 1, got values from {low:g} to {high:g}: '
            'file units, as samples have them. Hand an image to task.predict_image(), '
            'or scale it with dfc2020_geo.transforms.ScaleBands.'
        )


def scale_range_(
    image: Tensor,
    low: float,
    high: float,
    nan: float | None = None,
    source: Tensor | None = None,
) -> Tensor:
    """Clip to a range of values and scale it to ``[0, 1]``, in place.

    Args:
        image: Tensor of any shape, of a floating point type.
        low: What becomes 0.
        high: What becomes 1.
        nan: What NaN becomes before; None if it is known that there is none.
        source: What is scaled into the image, of its shape and type, if it is not the
            image itself.

    Returns:
        The image.
    """
    span, offset = high - low, -low / (high - low)
    if source is None:
        image.clamp_(low, high)
    else:
        torch.clamp(source, low, high, out=image)
    if nan is not None:  # NaN is still there, and nothing infinite any more
        image.nan_to_num_(min(max(nan, low), high))
    if image.device.type == 'cpu':
        image.div_(span)
    else:  # A number on the host would make the division a multiplication there.
        image.div_(torch.full((), span, dtype=image.dtype, device=image.device))
    # (x - low) / (high - low) would differ from the baseline in the last bit.
    return image.add_(offset) if offset else image

"""Scaling, band selection and exact augmentations, as kornia operations on the device.

All of them work on batches ``(B, C, H, W)`` inside
:class:`kornia.augmentation.AugmentationSequential`, and on their own as the
``transforms`` of a dataset, on samples of shape ``(C, H, W)``.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from kornia.augmentation import GeometricAugmentationBase2D, IntensityAugmentationBase2D
from torch import Tensor

from .bands import Band, Sensor, band_names, select_bands

#: Values scaled to 0 and 1: sigma nought in dB, Sentinel-2 reflectance x 10 000.
VALUE_RANGE: dict[Sensor, tuple[float, float]] = {
    's1': (-25.0, 0.0),
    's2': (0.0, 10_000.0),
}

#: What NaN becomes before scaling: the low end of the band's range, or 0 (that is
#: 0 dB, the brightest value) as in the 2020 baseline.
NaN = Literal['lowest', 'baseline']


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


def valid_pixels(image: Tensor) -> Tensor:
    """Tell where images have any data.

    Without data is a pixel whose bands are all NaN, infinite or 0, the fill values of
    Sentinel-1 and Sentinel-2 products.

    Args:
        image: Unscaled images of shape ``(B, C, H, W)``.

    Returns:
        Boolean tensor of shape ``(B, H, W)``.
    """
    return (image.isfinite() & (image != 0)).any(dim=1)


class _SampleOperation(IntensityAugmentationBase2D):
    """A kornia operation that also takes a sample, of which it changes the image."""

    def __init__(self) -> None:
        super().__init__(p=1, same_on_batch=True, keepdim=True)

    def forward(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the operation to an image or to the ``'image'`` of a sample."""
        if isinstance(input, dict):
            return input | {'image': super().forward(input['image'], *args, **kwargs)}
        return super().forward(input, *args, **kwargs)


_SCALING = ('low', 'high', 'span', 'offset', 'fill')

#: Rows that are scaled in one go, few enough to stay in the processor's cache.
_BLOCK_ROWS = 32


class ScaleBands(_SampleOperation):
    """Clip each band to its sensor's value range and scale it to ``[0, 1]``.

    With ``nan='baseline'`` the result is bit-equal to the 2020 baseline's input.
    """

    def __init__(self, bands: Sequence[str | Band], nan: NaN = 'lowest') -> None:
        """Initialize a new ScaleBands instance.

        Args:
            bands: The channels of the image, as names of bands or band sets.
            nan: What NaN becomes: ``'lowest'``, the low end of the band's range, or
                ``'baseline'``, 0 dB in Sentinel-1 as in 2020.

        Raises:
            ValueError: If a band or *nan* is unknown.
        """
        super().__init__()
        low, high = (x[:, None, None] for x in value_ranges(bands))
        fill = {'lowest': low, 'baseline': torch.zeros_like(low)}
        if nan not in fill:
            raise ValueError(f"Expected nan to be one of {tuple(fill)}, got '{nan}'.")
        # (x - low) / (high - low) would differ from the baseline in the last bit.
        span = high - low
        constants = (low, high, span, -low / span, fill[nan])
        self.flags = dict(zip(_SCALING, constants, strict=True))

    def apply_transform(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Scale images of shape ``(B, C, H, W)``."""
        if input.shape[1] != len(flags['low']):
            raise ValueError(
                f'Expected images of {len(flags["low"])} bands to scale, '
                f'got {input.shape[1]}.'
            )
        low, high, span, offset, fill = (flags[k].to(input) for k in _SCALING)
        known = torch.where(input.isnan(), fill, input)
        return known.clamp(low, high) / span + offset

    def scale_(self, image: Tensor, is_finite: bool = False) -> Tensor:
        """Scale one image in place, with the same result to the last bit.

        On a processor it is several times faster, since no block leaves its cache
        before it is done.

        Args:
            image: Image of shape ``(C, H, W)``, float32.
            is_finite: Whether it is known to hold no NaN.

        Returns:
            The image.
        """
        if image.device.type != 'cpu':
            # A number on the host would make the division a multiplication there.
            return image.copy_(self.apply_transform(image[None], {}, self.flags)[0])
        numbers = [self.flags[name].flatten().tolist() for name in _SCALING]
        for plane, low, high, span, offset, fill in zip(image, *numbers, strict=True):
            for block in plane.split(_BLOCK_ROWS):
                if not is_finite:
                    block.nan_to_num_(fill, math.inf, -math.inf)
                block.clamp_(low, high).div_(span)
                if offset:
                    block.add_(offset)
        return image


class SelectBands(_SampleOperation):
    """Pick the bands that a model reads out of images that have more.

    Brings them into this package's channel order as well: with
    ``SelectBands(SEN12MS.BAND_SETS['all'], ['s2-10m', 's1'])`` a sample of
    ``torchgeo.datasets.SEN12MS`` (VV and VH first) suits a model of this package.
    """

    def __init__(self, source: Sequence[str], bands: Sequence[str | Band]) -> None:
        """Initialize a new SelectBands instance.

        Args:
            source: Name of each channel of the images, in their order.
            bands: Names of the bands or band sets to keep.

        Raises:
            ValueError: If a band is unknown or not in *source*.
        """
        super().__init__()
        names = band_names(bands)
        if missing := [name for name in names if name not in source]:
            raise ValueError(
                f'Expected images with the bands {names}, got {tuple(source)} '
                f'without {missing}.'
            )
        self.num_channels = len(source)
        self.flags = {'index': torch.tensor([list(source).index(n) for n in names])}

    def apply_transform(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Select channels of images of shape ``(B, C, H, W)``."""
        if input.shape[1] != self.num_channels:
            raise ValueError(
                f'Expected images of {self.num_channels} bands to select from, '
                f'got {input.shape[1]}.'
            )
        return input.index_select(1, flags['index'].to(input.device))


class RandomD4(GeometricAugmentationBase2D):
    """Flip and quarter-turn each image at random, exactly, together with its mask.

    Draws one of the 8 symmetries of the square for each image, or one of the 4 of
    the rectangle where height and width differ. No value is interpolated.
    """

    _compute_matrix_lazily = True

    def __init__(self) -> None:
        """Initialize a new RandomD4 instance."""
        super().__init__(p=1, keepdim=True)

    def generate_parameters(self, batch_shape: tuple[int, ...]) -> dict[str, Tensor]:
        """Draw whether each image is transposed, and flipped along either axis."""
        batch, *_, height, width = batch_shape
        drawn = torch.randint(2, (batch, 3), dtype=torch.bool)
        drawn[:, 0] &= height == width
        return {'symmetry': drawn}

    def apply_transform(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Apply the drawn symmetries to images of shape ``(B, C, H, W)``."""
        output = torch.empty_like(input)
        for source, target, symmetry in zip(
            input, output, params['symmetry'].tolist(), strict=True
        ):
            for plane, place in zip(source, target, strict=True):
                _apply_symmetry(plane, place, *symmetry)
        return output

    def compute_transformation(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any]
    ) -> Tensor:
        """Compute the matrices that move pixel coordinates, ``(B, 3, 3)``."""
        height, width = input.shape[-2:]
        transpose, flip_rows, flip_columns = params['symmetry'].to(input).T
        matrix = input.new_zeros(len(transpose), 3, 3)
        across, down = 1 - 2 * flip_columns, 1 - 2 * flip_rows
        matrix[:, 0, 0], matrix[:, 0, 1] = across * (1 - transpose), across * transpose
        matrix[:, 1, 1], matrix[:, 1, 0] = down * (1 - transpose), down * transpose
        matrix[:, 0, 2] = flip_columns * (width - 1)
        matrix[:, 1, 2] = flip_rows * (height - 1)
        matrix[:, 2, 2] = 1
        return matrix


def _apply_symmetry(
    plane: Tensor, place: Tensor, transpose: bool, flip_rows: bool, flip_columns: bool
) -> None:
    """Transpose, then flip, a plane, into its place."""
    if transpose:  # Flipping first is faster: before it, rows are what columns become.
        flip_rows, flip_columns = flip_columns, flip_rows
    axes = [axis for axis, flip in ((-2, flip_rows), (-1, flip_columns)) if flip]
    plane = plane.flip(axes) if axes else plane
    place.copy_(plane.mT if transpose else plane)

"""Band selection: images of other datasets in the channel order of this package."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..bands import Band, band_names
from .scaling import SampleOperation


class SelectBands(SampleOperation):
    """Pick the bands that a model reads out of images that have more.

    Brings them into this package's channel order as well: with
    ``SelectBands(SEN12MS.BAND_SETS['all'], ['s2-10m', 's1'])`` a sample of
    ``torchgeo.datasets.SEN12MS`` (VV and VH first) suits a model of this package.

    >>> import torch
    >>> select = SelectBands(['VV', 'VH', 'B02', 'B03'], ['s1', 'B03'])
    >>> image = torch.tensor([-9.0, -15.0, 800.0, 900.0]).reshape(4, 1, 1)
    >>> select({'image': image})['image'].flatten().tolist()
    [900.0, -9.0, -15.0]
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
        """Select channels of images.

        Args:
            input: Images of shape ``(B, C, H, W)``, with the channels of *source*.
            params: What kornia has drawn; nothing is.
            flags: The positions of the bands, as ``'index'``.
            transform: kornia's matrix, of no use here.

        Returns:
            Images of the same type, with one channel for each band.

        Raises:
            ValueError: If there are not as many channels as names in *source*.
        """
        if input.shape[1] != self.num_channels:
            raise ValueError(
                f'Expected images of {self.num_channels} bands to select from, '
                f'got {input.shape[1]}.'
            )
        return input.index_select(1, flags['index'].to(input.device))

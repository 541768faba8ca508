"""Which pixels have data.

Nothing here waits for an accelerator.
"""

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor


def valid_pixels(*images: Tensor) -> Tensor:
    """Tell where images have any data.

    Without data is a pixel whose bands are all NaN, infinite or 0, the fill values of
    Sentinel-1 and Sentinel-2 products.

    Args:
        images: Unscaled images of shape ``(B, C, H, W)``, of the same pixels; C may
            differ.

    Returns:
        Boolean tensor of shape ``(B, H, W)``.
    """
    if images[0].device.type != 'cpu':
        return _any_band(images)
    first, *others = (band for image in images for band in image.unbind(1))
    valid = _has_data(first)
    for band in others:
        # A processor knows at no cost whether the others matter; most often not.
        if valid.all():
            break
        valid |= _has_data(band)
    return valid


def _any_band(images: Iterable[Tensor]) -> Tensor:
    """Look at all bands, so that nothing has to be known of the first ones."""
    return reduce(torch.logical_or, (_has_data(x).any(dim=1) for x in images))


def _has_data(values: Tensor) -> Tensor:
    if values.is_floating_point():
        return values.isfinite() & (values != 0)
    if values.dtype == torch.uint16:  # which has few operations
        values = values.view(torch.int16)
    return values != 0

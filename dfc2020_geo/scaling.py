"""Scaling to ``[0, 1]`` in place, with the bits of the 2020 baseline; pixels with data.

Nothing here waits for an accelerator.
"""

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor


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

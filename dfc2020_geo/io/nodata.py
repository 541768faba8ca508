"""The nodata rule: which pixels of patches and scenes are valid.

A number is fill if it is 0, NaN or infinite: products of Sentinel-1 and -2 hold 0 where
they have no data, whether they declare it or not. One band may be 0 on its own, since
dark pixels are. So

* a pixel of a patch has data unless all bands of all sensors hold fill, as in 2020;
* a pixel of a scene has data if, for each sensor, all bands are finite and not all 0.

What a file declares as no data (a number, a mask, an alpha band) has become NaN before.
Nothing here waits for an accelerator.
"""

from collections.abc import Iterable
from functools import reduce

import numpy as np
import torch
from torch import Tensor


def valid_pixels(*images: Tensor) -> Tensor:
    """Tell which pixels of patches have data.

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
        # The CPU knows at no cost whether the others matter; most often not.
        if valid.all():
            break
        valid |= _has_data(band)
    return valid


def complete_pixels(image: np.ndarray, is_finite: bool = False) -> np.ndarray:
    """Tell which pixels of a scene have data.

    Args:
        image: Bands of one sensor, of shape ``(C, H, W)``, float32; 0 is fill.
        is_finite: Whether it is known that all numbers are finite.

    Returns:
        Boolean array of shape ``(H, W)``.

    Example:
        >>> complete_pixels(np.array([[[0, 0, 7, np.nan]], [[0, 5, 7, 7]]])).tolist()
        [[False, True, True, False]]
    """
    if is_finite and image[0].all():  # as most often; the other bands do not matter
        return np.ones(image.shape[1:], np.bool_)
    with np.errstate(invalid='ignore', over='ignore'):
        total = image.sum(axis=0)
        valid = np.isfinite(total) & (total != 0)
    # Numbers of both signs may add up to 0, and large ones to infinity.
    unsure = ~valid
    if unsure.any():
        pixels = image[:, unsure]
        valid[unsure] = np.isfinite(pixels).all(axis=0) & pixels.any(axis=0)
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

"""From the numbers stored in files to the units that networks read: arithmetic."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Coding:
    """What the stored numbers of one sensor's bands mean.

    Attributes:
        start: Channel of the first of them; the others follow.
        nodata: Number that each band declares as no data; None where it declares none.
        offsets: What is added to the numbers of each band.
        factor: What they are multiplied with then.
        power: Whether they are linear power, to become decibels.
    """

    start: int
    nodata: tuple[float | None, ...]
    offsets: tuple[float, ...]
    factor: float = 1.0
    power: bool = False

    @property
    def channels(self) -> slice:
        """The channels of the bands."""
        return slice(self.start, self.start + len(self.nodata))


def decode(image: np.ndarray, coding: Coding, is_whole: bool = False) -> np.ndarray:
    """Bring the numbers of one sensor into its unit, in place.

    A pixel is without data where a band is NaN, infinite or its declared no data, and
    where all bands are 0. A band may be 0 on its own: Sentinel-2 declares 0 as no data,
    and a dark pixel can be 0 as well.

    Args:
        image: Stored numbers of shape ``(bands, H, W)``, float32, NaN where the file
            has none. It becomes the image, NaN where a band has no number; where all
            are 0 they remain 0, unless 0 is declared as no data.
        coding: What the numbers mean.
        is_whole: Whether it is known that all of them are finite.

    Returns:
        Whether there are data, of shape ``(H, W)``.
    """
    for plane, nodata in zip(image, coding.nodata, strict=True):
        if nodata:
            _blank(plane, plane == _as_read(nodata))
    if coding.power:
        _blank(image, image <= 0)
    is_whole = is_whole and not any(coding.nodata) and not coding.power
    valid = _valid(image, is_whole)
    if 0 in coding.nodata and not valid.all():
        _blank(image, ~valid & (image == 0))
    for plane, offset in zip(image, coding.offsets, strict=True):
        _rescale(plane, offset, coding.factor)
    if coding.power:
        np.log10(image, out=image)
        image *= 10
    return valid


def _valid(image: np.ndarray, is_whole: bool) -> np.ndarray:
    """Find the pixels whose bands are all finite and not all 0."""
    if is_whole and image[0].all():  # as most often; the other bands do not matter
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


def _as_read(nodata: float) -> np.float32:
    """Return what a number of a file is in an image."""
    with np.errstate(over='ignore'):
        return np.float32(nodata)


def _blank(values: np.ndarray, where: np.ndarray) -> None:
    if where.any():
        values[where] = np.nan


def _rescale(plane: np.ndarray, offset: float, factor: float) -> None:
    """Apply offset and factor to what is not 0, the number of no data."""
    if offset == 0 and factor == 1:
        return
    zero = plane == 0
    plane += offset
    plane *= factor
    plane[zero] = 0

"""Radiometry: stored numbers to reflectance x 10 000 and dB; offset, factor, nodata."""

from dataclasses import dataclass

import numpy as np

from ..nodata import complete_pixels


@dataclass(frozen=True)
class Coding:
    """What the stored numbers of one sensor's bands mean.

    Attributes:
        start: Channel of the first of them; the others follow.
        nodata: Number that each band declares as no data; None where it declares none.
        offsets: What is added to the numbers of each band.
        factor: What they are multiplied with then.
        power: Whether they are linear power, to become decibels.
        fills: Numbers without data that no band declares.
        has_metadata: Whether the metadata of a product say what the numbers mean.
    """

    start: int
    nodata: tuple[float | None, ...]
    offsets: tuple[float, ...]
    factor: float = 1.0
    power: bool = False
    fills: tuple[float, ...] = ()
    has_metadata: bool = False

    @property
    def channels(self) -> slice:
        """The channels of the bands."""
        return slice(self.start, self.start + len(self.nodata))


def decode(image: np.ndarray, coding: Coding, is_whole: bool = False) -> np.ndarray:
    """Bring the numbers of one sensor into its unit, in place.

    A declared number of no data becomes NaN, but for 0, which Sentinel-2 declares and
    which a dark pixel can hold in a band: there :mod:`~dfc2020_geo.io.nodata` decides.

    Args:
        image: Stored numbers of shape ``(bands, H, W)``, float32, NaN where the file
            has none. It becomes the image, NaN where a band has no number; where all
            are 0 they remain 0, unless 0 is declared as no data.
        coding: What the numbers mean.
        is_whole: Whether it is known that all of them are finite.

    Returns:
        Whether there are data, of shape ``(H, W)``.
    """
    for plane, number in zip(image, coding.nodata, strict=True):
        if number:
            with np.errstate(over='ignore'):
                stored = np.float32(number)
            _blank(plane, plane == stored)
    for number in coding.fills:
        _blank(image, image == np.float32(number))
    if coding.power:
        _blank(image, image <= 0)
    is_whole = is_whole and not any((*coding.nodata, *coding.fills, coding.power))
    valid = complete_pixels(image, is_whole)
    if 0 in coding.nodata and not valid.all():
        _blank(image, ~valid & (image == 0))
    for plane, offset in zip(image, coding.offsets, strict=True):
        _rescale(plane, offset, coding.factor)
    if coding.power:
        np.log10(image, out=image)
        image *= 10
    return valid


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

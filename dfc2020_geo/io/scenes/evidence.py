"""Evidence in stored numbers against an order of bands, or an offset."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ...bands import BAND_SETS, FILE_BANDS
from ..rasters import open_raster
from .headers import RasterHeader

#: A sample is this many windows along each axis, of this size.
_WINDOWS, _SIZE = 3, 128

#: Pixels along each axis that are read where these windows have no data.
_COARSE = 512

#: With fewer pixels there is no evidence.
_FEW = 200

#: Fraction of pixels that is nearly all, and fraction that is more than by chance.
_NEARLY_ALL, _SOME = 0.9, 0.02

#: Darkest numbers, in reflectance x 10 000, that are dark beyond doubt, and differences
#: that are more than noise and haze.
_DARK, _DIFFERENCE = 700, 250

#: Fraction of the range of the bands below which one is a dark one, and of their level by
#: which bands differ that have nothing in common.
_LOW, _NOISE = 0.5, 0.15

#: Fraction by which B8A differs from B08 at most; on land it is less than a fifth.
_UNLIKE = 0.4

#: Fraction by which B12 is brighter than B11 at most; it is darker almost everywhere.
_BRIGHTER = 0.3

#: A band of classes has this many values at most, none above the last of them; a mask
#: has two, whatever they are.
_CLASSES, _HIGHEST_CLASS, _MASK = 16, 15, 2

#: What was found of files, since training opens them for one scene after another.
_orders: dict[tuple[str, tuple[int, int]], str] = {}

_S2 = BAND_SETS['s2']
_B08, _B8A, _B09, _B10, _B11, _B12 = range(_S2.index('B08'), len(_S2))

#: Bands as EuroSAT has them, and the names of files in their order.
_BY_NAME = sorted(_S2)


def sample_numbers(file: RasterHeader) -> np.ndarray:
    """Read some pixels of a raster, as they are stored.

    Args:
        file: The raster.

    Returns:
        Numbers of all its bands, of shape ``(bands, N)``, float64, where none of them
        is fill; none if it cannot be read, which whoever reads it is told.
    """
    try:
        return _read(file)
    except RuntimeError:
        return np.empty((file.count, 0))


def _read(file: RasterHeader) -> np.ndarray:
    height, width = file.grid.shape
    windows = [
        ((top, top + rows), (left, left + columns))
        for top, rows in _spans(height)
        for left, columns in _spans(width)
    ]
    indexes = range(1, file.count + 1)
    with open_raster(file.address) as raster:
        bands = [[raster.read(i, window=w).ravel() for w in windows] for i in indexes]
        numbers = np.array([np.concatenate(parts) for parts in bands], np.float64)
        known = _known(file, numbers)
        if known.sum() < _FEW:  # the data lie elsewhere
            shape = (min(height, _COARSE), min(width, _COARSE))
            coarse = [raster.read(i, out_shape=shape).ravel() for i in indexes]
            numbers = np.array(coarse, np.float64)
            known = _known(file, numbers)
    return numbers[:, known]


def _known(file: RasterHeader, numbers: np.ndarray) -> np.ndarray:
    """Tell which pixels have data in all bands."""
    known = np.isfinite(numbers).all(axis=0) & numbers.any(axis=0)
    for band, nodata in zip(numbers, file.nodata, strict=True):
        if nodata:
            known &= band != nodata
    return known


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """Choose windows along an axis: first pixels and sizes."""
    if length <= _WINDOWS * _SIZE:
        yield 0, length
        return
    for middle in range(1, 2 * _WINDOWS, 2):
        yield middle * length // (2 * _WINDOWS) // _SIZE * _SIZE, _SIZE


def contradict_order(numbers: np.ndarray) -> list[str]:
    """Find what speaks against 13 bands in the order of SEN12MS.

    Offsets do not matter. Bands of one value, as filled ones have, and bands that have
    nothing in common, as in test images, say nothing.

    Args:
        numbers: Numbers of the bands, of shape ``(13, N)``.

    Returns:
        Reasons; none if the values do not contradict that order.
    """
    # What is the same in all bands is fill, declared or not.
    numbers = numbers[:, (numbers != numbers[:1]).any(axis=0)]
    if numbers.shape[0] != FILE_BANDS['s2'] or numbers.shape[1] < _FEW:
        return []
    varies = numbers.min(axis=1) < numbers.max(axis=1)
    kinds = [i for i in np.flatnonzero(varies) if i != _B10 and _is_classes(numbers[i])]
    reasons = [
        f'band {i + 1} ({_S2[i]} in that order) has {len(np.unique(numbers[i]))} values, '
        f'up to {numbers[i].max():g}: classes or a mask, no reflectance'
        for i in kinds
    ]
    # Bands that are missing are filled, B10 of Level-2A first; masks lie at the ends.
    ends = [*([0] if varies[_B10] else []), _B12]
    reasons += [
        f'band {i + 1} ({_S2[i]} in that order) is {numbers[i, 0]:g} everywhere'
        for i in ends
        if not varies[i] and varies.sum() > len(_S2) // 2
    ]
    varies[kinds] = False
    return [*reasons, *_contradict_levels(np.median(numbers, axis=1), numbers, varies)]


def _is_classes(band: np.ndarray) -> bool:
    values = np.unique(band)
    is_few = len(values) <= _CLASSES and 0 <= values[0] <= values[-1] <= _HIGHEST_CLASS
    return is_few or len(values) <= _MASK


def _contradict_levels(
    medians: np.ndarray, numbers: np.ndarray, varies: np.ndarray
) -> Iterator[str]:
    """Compare B10, which is dark, with the others, and B8A with B08, which it is like."""
    if varies[_B10]:
        above = np.mean(numbers[_B10] > numbers[_B09]) if varies[_B09] else 0.0
        lowest = medians[varies].min()
        middle = np.median(medians[varies])
        limit = max(_DIFFERENCE, _NOISE * middle, _LOW * (middle - lowest))
        if above > _NEARLY_ALL:
            yield (
                f'band {_B10 + 1} (B10 in that order, which water vapour makes darker '
                f'than B09) is brighter than band {_B09 + 1} in {above:.0%} of the pixels'
            )
        elif medians[_B10] - lowest > limit:
            darkest = int(np.argmin(np.where(varies, medians, np.inf)))
            yield (
                f'band {_B10 + 1} (B10 in that order, which is dark) has a median of '
                f'{medians[_B10]:g}, band {darkest + 1} one of {lowest:g}'
            )
    if varies[_B08] and varies[_B8A]:
        difference = abs(medians[_B8A] - medians[_B08])
        if difference > _DIFFERENCE / 2 + _UNLIKE * max(medians[_B08], medians[_B8A]):
            yield (
                f'band {_B8A + 1} (B8A in that order, which is like B08) has a median of '
                f'{medians[_B8A]:g}, band {_B08 + 1} one of {medians[_B08]:g}'
            )
    limit = _DIFFERENCE + (1 + _BRIGHTER) * medians[_B11]
    if varies[_B11] and varies[_B12] and medians[_B12] > limit:
        yield (
            f'band {_B12 + 1} (B12 in that order, which is darker than B11) has a median '
            f'of {medians[_B12]:g}, band {_B11 + 1} one of {medians[_B11]:g}'
        )


def require_order(file: RasterHeader) -> None:
    """Refuse 13 bands without names whose values contradict the order of SEN12MS.

    Args:
        file: The raster.

    Raises:
        RuntimeError: If they do; the message says what speaks against it.
    """
    key = (file.path, _state(file.path))
    if key not in _orders:
        numbers = sample_numbers(file)
        reasons = contradict_order(numbers)
        text = describe_contradiction(file.path, numbers, reasons) if reasons else ''
        _orders[key] = text
    if _orders[key]:
        raise RuntimeError(_orders[key])


def _state(path: str) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except (OSError, ValueError):  # what GDAL alone finds
        return 0, 0
    return state.st_mtime_ns, state.st_size


def describe_contradiction(
    path: Path | str,
    numbers: np.ndarray,
    reasons: Sequence[str],
    advice: str = 'Name the bands in their order as --s2_bands, - for something else',
) -> str:
    """Say that bands lie in another order, what speaks for it and what to do.

    Args:
        path: The raster.
        numbers: Numbers of its bands, of shape ``(13, N)``.
        reasons: What :func:`contradict_order` finds.
        advice: What to do.

    Returns:
        A message.
    """
    return (
        f'Expected 13 bands without names in the order of SEN12MS, {", ".join(_S2)}, in '
        f'{path}, got values that contradict it: {"; ".join(reasons)}. '
        f'{advice}{_advice(numbers)}.'
    )


def _advice(numbers: np.ndarray) -> str:
    """Name the order of file names, if the values do not contradict that one."""
    order = [_BY_NAME.index(name) for name in _S2]
    if contradict_order(numbers[order]):
        return ''
    return f"; the values fit EuroSAT's order, {','.join(_BY_NAME)}"


def require_offset(files: Iterable[RasterHeader], reason: str) -> None:
    """Refuse an offset that a name says, where the numbers do not have it.

    Args:
        files: The rasters.
        reason: What says that 1000 was added.

    Raises:
        RuntimeError: If many numbers are below those that it makes possible.
    """
    for file in files:
        numbers = sample_numbers(file)
        parts = np.mean(numbers < _DARK, axis=1) if numbers.shape[1] >= _FEW else [0]
        band = int(np.argmax(parts))
        if parts[band] > _SOME:
            raise RuntimeError(
                f'Expected Sentinel-2 to which 1000 was added in {file.path}, as '
                f'{reason} says, got {parts[band]:.0%} of the numbers of band {band + 1} '
                f'below {_DARK}. Give --s2_offset 0 if it was subtracted since, or '
                '-1000 if it was not.'
            )

"""Plausibility checks of scene values: reflectance, backscatter, units."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from ...bands import BANDS, VALUE_RANGE, Sensor
from .reading import Scene

#: Fraction of values from which a warning is due.
_MOST, _MANY = 0.99, 0.25

#: What processing baseline 04.00 added to the numbers, and how much less and more the
#: darkest pixels have.
_ADDED, _LESS, _MORE = 1000, 100, 600

#: Medians of Sentinel-1 in decibels lie between these, and none is calibrated above.
_DECIBELS, _UNCALIBRATED = (-40, -1), 1000

#: A sample is this many windows along each axis, of this size: 147 456 pixels.
_WINDOWS, _SIZE = 3, 128

#: With fewer pixels in these windows, the scene is searched until there are more.
_FEW, _ENOUGH = 1_000, 10_000

#: Largest number of a picture, and of a reflectance that is not multiplied.
_PICTURE, _REFLECTANCE = 255, 2

type _Values = Mapping[str, np.ndarray]


def check_values(scene: Scene) -> list[str]:
    """Check a sample of a scene's values.

    Args:
        scene: The scene.

    Returns:
        Warnings, each with its likely cause and what to do.

    Raises:
        ValueError: If the values make no map: Sentinel-1 in linear power, or in decibels
            where power is declared, or no pixel with data.
        RuntimeError: If a file cannot be read.
    """
    _require_decibels(scene)
    sample = _sample_pixels(scene)
    if sample.size == 0:
        raise ValueError(
            f'Expected pixels with data of all sensors in the scene {scene.name}, got '
            'none: where one has data, another has no data, NaN or 0. Check that the '
            'images overlap and are not empty.'
        )
    values = dict(zip(scene.bands, sample, strict=True))
    return [
        *_check_s2(_of(values, 's2'), _offset(scene)),
        *_check_s1(_of(values, 's1')),
        *_check_constant(values),
        *_check_clipped(values),
    ]


def _of(values: _Values, sensor: Sensor) -> _Values:
    return {name: v for name, v in values.items() if BANDS[name].sensor == sensor}


def _offset(scene: Scene) -> float:
    return min(offset for coding in scene.codings for offset in coding.offsets)


def _require_decibels(scene: Scene) -> None:
    """Refuse Sentinel-1 that is in another unit than it is said to be in."""
    for coding in scene.codings:
        channels = coding.channels
        if BANDS[scene.bands[channels.start]].sensor != 's1':
            continue
        readers = tuple(x for x in scene.readers if x.channels[0] >= channels.start)
        stored = replace(
            scene, readers=readers, codings=(replace(coding, power=False),)
        )
        sample = _sample_pixels(stored)[channels]
        if sample.size and not coding.power:
            _refuse_power(sample, scene.name)
        elif sample.size:
            _refuse_decibels(sample, scene.name)


def _refuse_power(sample: np.ndarray, name: str) -> None:
    if sample.min() < 0:
        return
    advice = 'Convert it with --s1_power true.'
    if sample.max() > _UNCALIBRATED:
        advice = (
            'Numbers this large are not calibrated: make sigma nought of them first.'
        )
    raise ValueError(
        f'Expected Sentinel-1 in decibels in the scene {name}, got linear power: no '
        f'value is below 0, they are {sample.min():g} to {sample.max():g}. {advice}'
    )


def _refuse_decibels(sample: np.ndarray, name: str) -> None:
    if np.median(sample) >= 0:
        return
    raise ValueError(
        f'Expected Sentinel-1 in linear power in the scene {name}, got decibels: half '
        f'of the values are below {np.median(sample):g}. Leave out --s1_power.'
    )


def _check_s2(values: _Values, offset: float) -> Iterator[str]:
    if not values:
        return
    highest = max(v.max() for v in values.values())
    lows = {name: np.percentile(v, 0.5) for name, v in values.items()}
    name = min(lows, key=lambda name: lows[name])
    if highest <= _REFLECTANCE:
        yield (
            f'Sentinel-2 is at most {highest:g}: reflectance from 0 to 1, where networks '
            'are trained on reflectance x 10 000. Multiply it, for example with '
            'gdal_translate -ot Float32 -scale 0 1 0 10000.'
        )
    elif highest <= _PICTURE:
        yield (
            f'Sentinel-2 is at most {highest:g}: a picture of 8 bits, not reflectance x '
            '10 000. Take the bands of the product.'
        )
    elif offset == 0 and _ADDED - _LESS <= lows[name] < _ADDED + _MORE:
        yield (
            f'The darkest pixels of Sentinel-2 are {lows[name]:g}, in {name}: since '
            f'processing baseline 04.00, {_ADDED} is added to the numbers. If that is '
            f'so here and not clouds or haze everywhere, give --s2_offset -{_ADDED}.'
        )
    below = {name: np.mean(v < -_LESS) for name, v in values.items()}
    name = max(below, key=lambda name: below[name])
    if below[name] > _MANY:
        yield (
            f'{below[name]:.0%} of {name} are below -{_LESS}: an offset of {offset:g} '
            'was added that these numbers do not have. Give --s2_offset 0.'
        )


def _check_s1(values: _Values) -> Iterator[str]:
    medians = {name: float(np.median(v)) for name, v in values.items()}
    low, high = _DECIBELS
    for name, median in medians.items():
        if not low <= median <= high:
            yield (
                f'Half of {name} is below {median:g}, where sigma nought has {low} to '
                f'{high} dB: another unit, or not calibrated. Linear power is converted '
                'with --s1_power true.'
            )
    if len(medians) > 1 and medians['VH'] > medians['VV']:
        yield (
            f'VH ({medians["VH"]:g} dB) is brighter than VV ({medians["VV"]:g} dB), '
            'which no land or water is: the bands are probably in the other order. Give '
            '--s1_bands.'
        )


def _check_constant(values: _Values) -> Iterator[str]:
    constant = [name for name, v in values.items() if v.min() == v.max()]
    if constant and len(constant) < len(values):
        yield (
            f'{", ".join(constant)} have the same value everywhere: filled in, not '
            'measured, as B10 often is in Level-2A. Take a model that does not read them.'
        )


def _check_clipped(values: _Values) -> Iterator[str]:
    for name, v in values.items():
        low, high = VALUE_RANGE[BANDS[name].sensor]
        for part, side in ((np.mean(v <= low), low), (np.mean(v >= high), high)):
            if part > _MOST and v.min() < v.max():
                yield (
                    f'{part:.0%} of {name} lie beyond {side:g} and all become that: '
                    'another unit, or another scale, than networks are trained on.'
                )


def _sample_pixels(scene: Scene) -> np.ndarray:
    """Read some pixels with data.

    A few windows are read; the whole scene is searched, some rows at a time, only where
    they have hardly any data.

    Args:
        scene: The scene.

    Returns:
        Values of shape ``(C, N)``; N is 0 if no pixel of the scene has data.
    """
    height, width = scene.grid.shape
    windows = ((r, c) for r in _spans(height) for c in _spans(width))
    sample = np.concatenate([_valid(scene, *window) for window in windows], axis=1)
    return sample if sample.shape[1] >= _FEW else _search(scene)


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """Choose windows along an axis that cut few of a file's blocks."""
    if length <= _WINDOWS * _SIZE:
        yield 0, length
        return
    for middle in range(1, 2 * _WINDOWS, 2):
        start = middle * length // (2 * _WINDOWS) // _SIZE * _SIZE
        yield start, min(start + _SIZE, length)


def _search(scene: Scene) -> np.ndarray:
    parts = [np.empty((len(scene.bands), 0), np.float32)]
    for top in range(0, scene.grid.height, _SIZE):
        rows = (top, min(top + _SIZE, scene.grid.height))
        parts.append(_valid(scene, rows, (0, scene.grid.width)))
        if sum(part.shape[1] for part in parts) >= _ENOUGH:
            break
    return np.concatenate(parts, axis=1)


def _valid(scene: Scene, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    image, valid = scene.read(rows, columns)
    return image.reshape(len(image), -1) if valid.all() else image[:, valid]

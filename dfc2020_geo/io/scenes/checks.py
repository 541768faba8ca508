"""Samples of the values of scenes, for the check of values."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...bands import BANDS, Sensor
from ..value_checks import Fills, Finding, Flags, SensorSample, check_fills, check_units
from .radiometry import Coding
from .reading import BandReader, Scene

#: A sample is this many windows along each axis, from edge to edge, of this size:
#: 147 456 pixels.
_WINDOWS, _SIZE = 4, 96

#: With fewer pixels in these windows, the scene is searched until there are more.
_FEW, _ENOUGH = 1_000, 10_000

#: Rows that are searched at a time.
_ROWS = 128


def check_scene(
    scene: Scene, flags: Flags | None = None, is_taken: bool = True
) -> Scene:
    """Check a sample of a scene's values.

    Args:
        scene: The scene.
        flags: The flags by which a user can say what numbers mean.
        is_taken: Whether to take undeclared fill for no data.

    Returns:
        The scene, perhaps with its fill as no data, with what was found.

    Raises:
        RuntimeError: If a file cannot be read.
    """
    samples = sample_scene(scene)
    checked = check_fills(samples, is_taken)
    if checked.fills:
        # Now that it is no data, there may be hardly any pixels with data.
        blanked = take_fills(scene, checked.fills)
        samples = sample_scene(blanked)
        scene = blanked if is_taken else scene
    checked.findings += check_units(samples, flags)
    if not np.logical_and.reduce([sample.valid for sample in samples]).any():
        message = (
            f'Expected pixels with data of all sensors in the scene {scene.name}, got '
            'none: where one has data, another has no data, NaN or 0.'
        )
        cause = 'Check that the images overlap and are not empty.'
        checked.findings = [Finding('error', scene.bands, message, cause)]
    return replace(scene, findings=tuple(checked.findings))


def take_fills(scene: Scene, fills: Fills) -> Scene:
    """Take numbers for no data that nothing declares.

    Args:
        scene: The scene.
        fills: The numbers, by sensor.

    Returns:
        The scene; a band that declares no number has the first one declared, so that it
        does not fade into its neighbours where it is warped.
    """
    if not fills:
        return scene
    notes = [
        f'Sentinel-{sensor[1]}: {", ".join(f"{number:.7g}" for number in own)} taken '
        'for no data, which nothing declares'
        for sensor, own in fills.items()
    ]
    return replace(
        scene,
        notes=(*scene.notes, *notes),
        readers=tuple(_declare(scene, reader, fills) for reader in scene.readers),
        codings=tuple(
            replace(coding, fills=fills.get(_sensor(scene, coding.start), ()))
            for coding in scene.codings
        ),
    )


def _sensor(scene: Scene, channel: int) -> Sensor:
    return BANDS[scene.bands[channel]].sensor


def _declare(scene: Scene, reader: BandReader, fills: Fills) -> BandReader:
    """Declare fill in the header of a file, for the warper."""
    own = fills.get(_sensor(scene, reader.channels[0]), ())
    if not own:
        return reader
    nodata = list(reader.file.nodata)
    for index in reader.indexes:
        if nodata[index - 1] is None:
            nodata[index - 1] = own[0]
    return replace(reader, file=replace(reader.file, nodata=tuple(nodata)))


def sample_scene(scene: Scene) -> list[SensorSample]:
    """Read some pixels of a scene, as they are stored.

    A few windows are read; the whole scene is searched, some rows at a time, only where
    they have hardly any data.

    Args:
        scene: The scene.

    Returns:
        A sample of each sensor, of the same pixels.

    Raises:
        RuntimeError: If a file cannot be read.
    """
    values = sample_pixels(scene)
    return [
        SensorSample(
            bands=scene.bands[coding.channels],
            values=values[coding.channels],
            offsets=coding.offsets,
            factor=coding.factor,
            power=coding.power,
            has_metadata=coding.has_metadata,
        )
        for coding in scene.codings
    ]


def sample_pixels(scene: Scene) -> np.ndarray:
    """Read some pixels of a scene, all bands as they are stored.

    Args:
        scene: The scene.

    Returns:
        Numbers of shape ``(C, N)``, NaN where a file declares no data.

    Raises:
        RuntimeError: If a file cannot be read.
    """
    stored = replace(scene, codings=tuple(map(_as_stored, scene.codings)))
    height, width = scene.grid.shape
    windows = [(r, c) for r in _spans(height) for c in _spans(width)]
    parts = [stored.read(*window) for window in windows]
    if sum(int(valid.sum()) for _, valid in parts) >= _FEW:
        return np.concatenate([_flatten(image) for image, _ in parts], axis=1)
    return _search(stored)


def _as_stored(coding: Coding) -> Coding:
    """Leave numbers as they are, but for what is no data."""
    zeros = (0.0,) * len(coding.offsets)
    return replace(coding, offsets=zeros, factor=1.0, power=False)


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """Choose windows along an axis, the first and last one at its ends."""
    if length <= _WINDOWS * _SIZE:
        yield 0, length
        return
    for number in range(_WINDOWS):
        start = number * (length - _SIZE) // (_WINDOWS - 1)
        yield start, start + _SIZE


def _search(scene: Scene) -> np.ndarray:
    parts = [np.empty((len(scene.bands), 0), np.float32)]
    for top in range(0, scene.grid.height, _ROWS):
        rows = (top, min(top + _ROWS, scene.grid.height))
        image, valid = scene.read(rows, (0, scene.grid.width))
        parts.append(image[:, valid])
        if sum(part.shape[1] for part in parts) >= _ENOUGH:
            break
    return np.concatenate(parts, axis=1)


def _flatten(image: np.ndarray) -> np.ndarray:
    return image.reshape(len(image), -1)

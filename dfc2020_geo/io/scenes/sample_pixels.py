"""A small sample of a scene's pixels, whatever its size."""

from collections.abc import Iterator

import numpy as np

from .scene import Scene

#: A sample is this many windows along each axis, of this size: 147 456 pixels.
_WINDOWS, _SIZE = 3, 128

#: With fewer pixels in these windows, the scene is searched until there are more.
_FEW, _ENOUGH = 1_000, 10_000


def sample_pixels(scene: Scene) -> np.ndarray:
    """Read some pixels with data.

    A few windows are read; the whole scene is searched, some rows at a time, only where
    they have hardly any data.

    Args:
        scene: The scene.

    Returns:
        Values of shape ``(C, N)``; N is 0 if no pixel of the scene has data.
    """
    windows = ((r, c) for r in _spans(scene.height) for c in _spans(scene.width))
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
    for top in range(0, scene.height, _SIZE):
        rows = (top, min(top + _SIZE, scene.height))
        parts.append(_valid(scene, rows, (0, scene.width)))
        if sum(part.shape[1] for part in parts) >= _ENOUGH:
            break
    return np.concatenate(parts, axis=1)


def _valid(scene: Scene, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    image, valid = scene.read(rows, columns)
    return image.reshape(len(image), -1) if valid.all() else image[:, valid]

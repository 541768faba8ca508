"""Smooth random fields and parcel grids for synthetic landscapes."""

from functools import lru_cache

import numpy as np

#: Mean extent, in pixels, of an area whose parcels share direction and size.
_ESTATE = 110


def random_field(
    shape: tuple[int, int], wavelength: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw a smooth random field.

    Args:
        shape: Height and width in pixels.
        wavelength: Extent of its features in pixels.
        rng: Random generator.

    Returns:
        Array of shape *shape*, float32, mean 0 and standard deviation 1.
    """
    # Long waves are drawn on a coarse grid, and on a larger one than asked for, since
    # the opposite edges of an inverse FFT continue each other.
    step = max(1.0, wavelength / 7)
    # A multiple of 16, which an FFT is fast with.
    coarse = [-16 * int(-(n + 2 * wavelength + 4 * step) / step // 16) for n in shape]
    amplitude = _amplitude(*coarse, wavelength / step)
    noise = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32)
    field = np.fft.irfft2(noise.view(np.complex64)[..., 0] * amplitude, coarse)
    if step == 1:
        field = field[: shape[0], : shape[1]].copy()
    else:
        wide = np.ascontiguousarray(_stretch(field.T, shape[1], step).T)
        field = _stretch(wide, shape[0], step)
    field -= field.mean()
    field /= max(field.std(), 1e-6)
    return field


@lru_cache(64)
def _amplitude(height: int, width: int, wavelength: float) -> np.ndarray:
    """Return the amplitude of each frequency of a smooth field, as in ``rfft2``."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    amplitude = (1 + (frequency * wavelength) ** 2) ** -1.75
    # ``irfft2`` takes half of these, and both of each pair of the others.
    amplitude[:, [0, -1]] *= np.sqrt(2)
    return amplitude.astype(np.float32)


def _stretch(field: np.ndarray, size: int, step: float) -> np.ndarray:
    """Interpolate rows *step* apart with cubic B-splines, to *size* rows."""
    # Not by a product of matrices: threads that wait for it cost as much again.
    start, weights = _spline(size, step)
    return sum(w * field[start + i] for i, w in enumerate(weights))


@lru_cache(64)
def _spline(size: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of four rows that each new row mixes, and their weights.

    The weights are of shape ``(4, size, 1)``.
    """
    start, t = np.divmod(np.arange(size) / step, 1)
    rest = 1 - t
    inner = [(3 * x**3 - 6 * x**2 + 4) / 6 for x in (t, rest)]
    weights = np.stack([rest**3 / 6, *inner, t**3 / 6])
    return start.astype(int), weights.astype(np.float32)[..., None]


def to_uniform(field: np.ndarray) -> np.ndarray:
    """Map normally distributed values to approximately uniform ones (logistic CDF).

    Args:
        field: Values of mean 0 and standard deviation 1, any shape.

    Returns:
        Values in (0, 1), of the same shape.
    """
    return 1 / (1 + np.exp(-1.702 * field))


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth the last two axes with a Gaussian.

    Args:
        image: Array of shape ``(..., H, W)``.
        sigma: Standard deviation in pixels.

    Returns:
        Array of the same shape.
    """
    radius = max(1, round(2.4 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    height, width = image.shape[-2:]
    reach = [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, [*reach, (radius, radius), (radius, radius)], mode='edge')
    rows = sum(w * padded[..., i : i + height, :] for i, w in enumerate(kernel))
    return sum(w * rows[..., i : i + width] for i, w in enumerate(kernel))


def slope(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient per pixel; 0 along an axis of length 1.

    Args:
        field: Array of shape ``(H, W)``.

    Returns:
        Change downwards and change rightwards, each of shape ``(H, W)``.
    """
    down, right = (
        np.gradient(field, axis=axis) if n > 1 else np.zeros_like(field)
        for axis, n in enumerate(field.shape)
    )
    return down, right


def rotated_grid(
    shape: tuple[int, int], angle: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel coordinates along two rotated axes.

    Args:
        shape: Height and width in pixels.
        angle: Rotation in radians, one value or of shape ``(H, W)``.

    Returns:
        Coordinates along the first and the second axis, each of shape ``(H, W)``,
        float32, in pixels.
    """
    y, x = _axes(shape)
    angle = np.asarray(angle, dtype=np.float32)
    cos, sin = np.cos(angle), np.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def _axes(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = (np.arange(n, dtype=np.float32) for n in shape)
    return y[:, None], x[None]


def draw_parcels(
    shape: tuple[int, int], rng: np.random.Generator, scale: float = 1.0
) -> np.ndarray:
    """Divide an area into field parcels.

    Estates, the cells of a warped Voronoi diagram, each have a direction and are cut
    into strips and these into parcels of uneven size.

    Args:
        shape: Height and width in pixels.
        rng: Random generator.
        scale: Size of the parcels; 1 is about 15 x 30 pixels.

    Returns:
        Parcel number of each pixel, counted from 0, of shape *shape*, int64.
    """
    estate, num_estates = _draw_estates(shape, rng)
    angle = rng.uniform(0, np.pi, num_estates)
    width = rng.uniform(9, 22, num_estates) * scale
    length = width * rng.uniform(1.2, 3.5, num_estates)
    along, across = rotated_grid(shape, angle[estate])
    reach = int(2 * (sum(shape) + 1) / (9 * scale)) + 8
    breaks = np.cumsum(rng.uniform(0.5, 1.5, 2 * reach)) - reach
    strip = np.searchsorted(breaks, across / width[estate]).clip(0, 2 * reach)
    shift = rng.uniform(-3, 3, (num_estates, 2 * reach + 1))[estate, strip]
    piece = np.searchsorted(breaks, along / length[estate] + shift)
    key = (estate * (2 * reach + 1) + strip) * (2 * reach + 1) + piece
    return np.unique(key, return_inverse=True)[1].reshape(shape)


def _draw_estates(
    shape: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    height, width = shape
    num_estates = 2 + round(height * width / _ESTATE**2)
    y, x = (axis + 6 * random_field(shape, 40, rng) for axis in _axes(shape))
    nearest = np.full(shape, np.inf, dtype=np.float32)
    estate = np.zeros(shape, dtype=np.int64)
    for i in range(num_estates):
        distance = (y - rng.uniform(0, height)) ** 2 + (x - rng.uniform(0, width)) ** 2
        estate[distance < nearest] = i
        nearest = np.minimum(distance, nearest)
    return estate, num_estates


def edges(parcel: np.ndarray) -> np.ndarray:
    """Mark the pixels whose right or lower neighbour is in another parcel.

    Args:
        parcel: Parcel numbers of shape ``(H, W)``.

    Returns:
        Mask of shape ``(H, W)``, bool.
    """
    mask = np.zeros(parcel.shape, dtype=bool)
    mask[:, :-1] |= parcel[:, :-1] != parcel[:, 1:]
    mask[:-1] |= parcel[:-1] != parcel[1:]
    return mask


def mean_by_parcel(field: np.ndarray, parcel: np.ndarray) -> np.ndarray:
    """Average a field over each parcel.

    Args:
        field: Array of shape ``(H, W)``.
        parcel: Parcel numbers from 0, of shape ``(H, W)``.

    Returns:
        Mean of each parcel, of shape ``(parcels,)``, float64.
    """
    total = np.bincount(parcel.ravel(), weights=field.ravel())
    return total / np.bincount(parcel.ravel())

"""Simulated Sentinel-2 reflectance and Sentinel-1 backscatter of a landscape."""

from dataclasses import dataclass

import numpy as np

from ..bands import BANDS, FILE_BANDS
from ..classes import DFC2020_CLASSES
from .fields import blur, random_field, slope
from .landscape import Landscape
from .regions import CROPLAND, FOREST, GRASSLAND, SHRUBLAND, URBAN, WATER
from .spectra import BACKSCATTER, REFLECTANCE

#: Steps into which the variant of a class is divided.
_VARIANTS = 33

#: Effect of haze on each band, in file order, relative to the blue band.
_HAZE = np.array(
    [1.1, 1, 0.85, 0.75, 0.6, 0.45, 0.4, 0.35, 0.3, 0.2, 0, 0.12, 0.08], np.float32
)

#: Effect of vegetation on each band, in file order: darker (-1) to brighter (1).
_GREEN = np.array(
    [-0.3, -0.4, -0.4, -1, -0.5, 0.7, 1, 1, 1, 0.8, 0, -0.2, -0.6], np.float32
)

#: Variation from pixel to pixel by DFC2020 code, relative to a typical class.
_ROUGHNESS = np.ones(len(DFC2020_CLASSES) + 1, dtype=np.float32)
_ROUGHNESS[[WATER, CROPLAND, URBAN]] = (0.4, 0.7, 1.4)

#: Equivalent number of looks of a Sentinel-1 ground range product.
_LOOKS = 4.4


@dataclass(frozen=True, slots=True)
class Date:
    """Conditions of one acquisition date, the same over a scene.

    Attributes:
        growth: Growth of vegetation, from -1 (winter) to 1 (summer).
        haze: Added to the blue reflectance x 10 000.
        gains: Factor of each class and Sentinel-2 band, ``(codes, 13)``.
        offsets: Added to each class's sigma nought in dB, ``(codes, 2)``.
        sun: Direction of the illumination in radians.
    """

    growth: float
    haze: float
    gains: np.ndarray
    offsets: np.ndarray
    sun: float


def draw_date(growth: float, rng: np.random.Generator) -> Date:
    """Draw the conditions of a date: haze on one in six, 10 to 30 % change per class.

    Args:
        growth: Growth of vegetation, from -1 (winter) to 1 (summer).
        rng: Random generator.

    Returns:
        The date.
    """
    codes = len(DFC2020_CLASSES) + 1
    bands = FILE_BANDS['s2']
    brightness = rng.normal(0, 0.07) + rng.normal(0, 0.06, (codes, 1))
    greenness = rng.normal(0, 0.05) + rng.normal(0, 0.06, (codes, 1))
    greenness[WATER] = 0
    change = brightness + greenness * _GREEN + rng.normal(0, 0.03, (codes, bands))
    haze = rng.uniform(400, 900) if rng.random() < 1 / 6 else rng.uniform(0, 120)
    offsets = rng.normal(0, 0.6, FILE_BANDS['s1']) + rng.normal(0, 0.5, (codes, 1))
    offsets[WATER] += rng.normal(0, 1.5)  # wind
    return Date(growth, haze, np.exp(change), offsets, rng.uniform(0, 2 * np.pi))


def render_s2(landscape: Landscape, date: Date, rng: np.random.Generator) -> np.ndarray:
    """Simulate a Sentinel-2 image.

    Bands of 20 m and 60 m are averaged to their pixels and repeated, as Earth Engine
    resamples by default.

    Args:
        landscape: The landscape.
        date: Conditions of vegetation and atmosphere.
        rng: Random generator.

    Returns:
        Reflectance x 10 000 of shape ``(13, H, W)``, uint16.
    """
    table = _reflectance_table(date) * date.gains[:, None]
    index = _spectrum_index(landscape.codes, _with_season(landscape, date))
    shape = landscape.codes.shape
    green = 0.08 * random_field(shape, 30, rng) + 0.07 * random_field(shape, 3, rng)
    bright = 0.06 * random_field(shape, 25, rng) + 0.07 * random_field(shape, 3, rng)
    bright += 0.5 * _facing(landscape, date.sun)
    rough = _ROUGHNESS[landscape.codes]
    bright, green = rough * bright, rough * green
    veil = date.haze * (1 + 0.15 * random_field(shape, 150, rng))
    gsds = [band.gsd for band in BANDS.values() if band.sensor == 's2']
    image = np.empty((len(gsds), *shape), dtype=np.uint16)
    for number, gsd in enumerate(gsds):
        band = table[..., number].ravel()[index]
        band *= np.exp(bright + _GREEN[number] * green)
        band += _HAZE[number] * veil
        image[number] = _sample(band, gsd // 10, rng)
    return image


def render_s1(landscape: Landscape, date: Date, rng: np.random.Generator) -> np.ndarray:
    """Simulate a Sentinel-1 image with speckle.

    Args:
        landscape: The landscape.
        date: Conditions of ground and water.
        rng: Random generator.

    Returns:
        Sigma nought in dB, VV and VH, of shape ``(2, H, W)``, float64.
    """
    table = _interpolated(BACKSCATTER) + date.offsets[:, None].astype(np.float32)
    index = _spectrum_index(landscape.codes, landscape.variant)
    image = np.stack([spectra.ravel()[index] for spectra in np.moveaxis(table, -1, 0)])
    shape = landscape.codes.shape
    rough = random_field(shape, 35, rng) + 0.7 * random_field(shape, 4, rng)
    rough *= 0.8 * _ROUGHNESS[landscape.codes]
    image += rough + 14 * _facing(landscape, date.sun)
    urban = landscape.codes == URBAN
    image[:, urban] += rng.gamma(0.6, 4, urban.sum()) - 1.6
    power = blur(10 ** (image / 10), 0.6)
    power *= rng.standard_gamma(_LOOKS, image.shape, dtype=np.float32) / _LOOKS
    return (10 * np.log10(np.maximum(power, 1e-5))).astype(np.float64)


def _interpolated(spectra: dict[int, np.ndarray]) -> np.ndarray:
    """Interpolate spectra to a table of shape ``(codes, variants, bands)``."""
    num_bands = next(iter(spectra.values())).shape[1]
    table = np.zeros((len(DFC2020_CLASSES) + 1, _VARIANTS, num_bands), dtype=np.float32)
    for code, rows in spectra.items():
        position = np.linspace(0, len(rows) - 1, _VARIANTS)
        for band in range(num_bands):
            table[code, :, band] = np.interp(
                position, np.arange(len(rows)), rows[:, band]
            )
    return table


def _reflectance_table(date: Date) -> np.ndarray:
    """Return the spectra on a date: leaves fall and grass withers as growth ends."""
    table = _interpolated(REFLECTANCE)
    loss = 0.09 * (1 - date.growth)
    for code, factor in ((FOREST, 1.2), (SHRUBLAND, 0.8), (GRASSLAND, 1)):
        table[code] *= np.exp(-factor * loss * _GREEN)
    return table


def _with_season(landscape: Landscape, date: Date) -> np.ndarray:
    """Return variants in which more fields are bare when less grows."""
    later = np.clip(landscape.variant, 0, 1) ** (1.6**date.growth)
    return np.where(landscape.codes == CROPLAND, later, landscape.variant)


def _spectrum_index(codes: np.ndarray, variant: np.ndarray) -> np.ndarray:
    """Return the index of each pixel in a flattened table of codes and variants."""
    step = np.round(variant * (_VARIANTS - 1)).astype(np.int64)
    return codes.astype(np.int64) * _VARIANTS + step


def _facing(landscape: Landscape, direction: float) -> np.ndarray:
    """Return the slope of the ground, 10 m a pixel, towards a direction."""
    down, right = slope(landscape.height)
    facing = (down * np.sin(direction) + right * np.cos(direction)) / 10
    return np.clip(facing, -0.6, 0.6).astype(np.float32)


def _sample(band: np.ndarray, factor: int, rng: np.random.Generator) -> np.ndarray:
    """Average to pixels *factor* times as large, add noise, repeat to 10 m."""
    height, width = band.shape
    band = _coarsen(blur(band, 0.55), factor)
    band = band * (1 + 0.012 * rng.standard_normal(band.shape, dtype=np.float32))
    band = np.clip(np.round(band), 1, np.iinfo(np.uint16).max).astype(np.uint16)
    return band.repeat(factor, 0).repeat(factor, 1)[:height, :width]


def _coarsen(band: np.ndarray, factor: int) -> np.ndarray:
    """Average squares of pixels, the last ones continued beyond the edge."""
    padded = np.pad(band, [(0, -n % factor) for n in band.shape], mode='edge')
    rows, columns = (n // factor for n in padded.shape)
    return padded.reshape(rows, factor, columns, factor).mean(axis=(1, 3))

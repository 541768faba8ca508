"""Synthetic landscapes: land cover at 10 m, elevation, appearance of each pixel."""

from dataclasses import dataclass

import numpy as np

from .fields import (
    draw_parcels,
    edges,
    mean_by_parcel,
    random_field,
    rotated_grid,
    slope,
    to_uniform,
)
from .regions import (
    BARREN,
    CROPLAND,
    FOREST,
    GRASSLAND,
    SHRUBLAND,
    URBAN,
    WATER,
    WETLAND,
    Region,
)
from .settlements import Settlements, draw_settlements


@dataclass(frozen=True, slots=True)
class Landscape:
    """Land cover and the variables that its spectra depend on, all ``(H, W)``.

    Attributes:
        codes: DFC2020 codes, uint8.
        variant: Position of a pixel among the spectra of its class, float32 from 0 to
            1: crop, building density, turbidity of water.
        height: Elevation in metres, float32.
    """

    codes: np.ndarray
    variant: np.ndarray
    height: np.ndarray


def draw_landscape(
    region: Region, shape: tuple[int, int], rng: np.random.Generator
) -> Landscape:
    """Draw a landscape at 10 m.

    Args:
        region: Kind of landscape.
        shape: Height and width in pixels.
        rng: Random generator.

    Returns:
        The landscape, without Savanna and Snow/Ice, as in the contest's labels.
    """
    river = _distance_to_river(shape, rng) if region.river else None
    height = _draw_height(region, shape, river, rng)
    parcel = draw_parcels(shape, rng, rng.uniform(0.7, 1.5))
    codes = _draw_vegetation(region, height, rng)
    _draw_fields(codes, region, height, parcel, rng)
    _draw_wet_and_dry(codes, region, height, rng)
    variant = _draw_variant(codes, parcel, rng)
    if river is not None:
        _draw_river(codes, variant, region, river, rng)
    _draw_towns(codes, variant, region, height, rng)
    return Landscape(codes, np.clip(variant, 0, 1), region.relief * height)


def _distance_to_river(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the approximate distance in pixels to a winding line."""
    across = rotated_grid(shape, rng.uniform(0, np.pi))[1]
    middle = across[tuple(int(n * rng.uniform(0.3, 0.7)) for n in shape)]
    bends = 30 * random_field(shape, 120, rng) + 3 * random_field(shape, 40, rng)
    offset = across - middle + bends
    return np.abs(offset) / np.hypot(*slope(offset)).clip(0.5)


def _draw_height(
    region: Region,
    shape: tuple[int, int],
    river: np.ndarray | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return elevation of mean 0 and standard deviation 1, lower along the river."""
    height = random_field(shape, 220, rng) + 0.12 * random_field(shape, 40, rng)
    uphill = rotated_grid(shape, rng.uniform(0, 2 * np.pi))[0]
    height += region.tilt * 3 * (uphill - uphill.mean()) / max(shape)
    if river is not None:
        height -= 1.1 * np.exp(-((river / 45) ** 2))
    return (height - height.mean()) / max(height.std(), 1e-6)


def _draw_vegetation(
    region: Region, height: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw forest, a fringe of shrubs around it, and grassland with groups of trees."""
    woody = random_field(height.shape, 120, rng) + 0.35 * height
    woody += 0.22 * random_field(height.shape, 13, rng)
    woody += 0.1 * random_field(height.shape, 3, rng)
    fractions = np.array([region.forest, region.forest + region.shrubland]).clip(0, 1)
    forest, shrubs = np.quantile(woody, 1 - fractions)
    codes = np.where(woody > shrubs, SHRUBLAND, GRASSLAND).astype(np.uint8)
    codes[woody > forest] = FOREST
    single = random_field(height.shape, 6, rng)
    codes[(single > 2.1) & (codes != FOREST)] = FOREST
    codes[(single < -1.9) & (codes == FOREST)] = SHRUBLAND
    return codes


def _draw_fields(
    codes: np.ndarray,
    region: Region,
    height: np.ndarray,
    parcel: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Clear whole parcels for fields and pastures, and cut some of the forest."""
    suitability = random_field(codes.shape, 90, rng) - 0.9 * height
    suitability = mean_by_parcel(suitability, parcel)[parcel]
    farmed = suitability > np.quantile(suitability, 1 - region.farmland)
    kinds = [CROPLAND, GRASSLAND, FOREST, SHRUBLAND]
    use = rng.choice(kinds, parcel.max() + 1, p=[0.82, 0.12, 0.03, 0.03])[parcel]
    codes[farmed] = use[farmed]
    hedge = edges(parcel) & farmed & (random_field(codes.shape, 25, rng) > 0.9)
    codes[hedge] = rng.choice([SHRUBLAND, GRASSLAND, FOREST])
    cut = (rng.random(parcel.max() + 1) < 0.06)[parcel]
    codes[cut & ~farmed & (codes == FOREST)] = rng.choice([SHRUBLAND, GRASSLAND])


def _draw_variant(
    codes: np.ndarray, parcel: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the variant: one per parcel on fields, gradual elsewhere."""
    gradual = random_field(codes.shape, 45, rng) + 0.7 * random_field(
        codes.shape, 6, rng
    )
    crop = rng.random(parcel.max() + 1)[parcel] + 0.06 * random_field(
        codes.shape, 12, rng
    )
    turbid = 0.25 + 0.2 * random_field(codes.shape, 120, rng)
    variant = np.where(codes == CROPLAND, crop, to_uniform(gradual / 1.2))
    return np.where(codes == WATER, turbid, variant).astype(np.float32)


def _draw_wet_and_dry(
    codes: np.ndarray, region: Region, height: np.ndarray, rng: np.random.Generator
) -> None:
    """Put sand and rock on dry ground, marsh on low ground and water on the lowest."""
    dryness = random_field(codes.shape, 90, rng) + 0.5 * height
    dryness += 0.25 * random_field(codes.shape, 5, rng)
    codes[dryness > np.quantile(dryness, 1 - region.barren)] = BARREN
    shore = np.quantile(height, region.water)
    fraction = region.wetland * (1 - region.water)
    lowness = height + 0.45 * random_field(codes.shape, 45, rng)
    lowness += 0.12 * random_field(codes.shape, 6, rng)
    lowness[height < shore] = np.inf
    pools = random_field(codes.shape, 11, rng)
    marsh = lowness < np.quantile(lowness, fraction)
    codes[marsh] = np.where(pools > 1.4, WATER, WETLAND)[marsh]
    distance = (height - shore) / np.hypot(*slope(height)).clip(1e-3)
    beach = distance + 1.2 * random_field(codes.shape, 30, rng) < 2.2
    codes[beach & ~marsh] = BARREN
    codes[height < shore] = WATER


def _draw_river(
    codes: np.ndarray,
    variant: np.ndarray,
    region: Region,
    distance: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Draw a turbid river with bars of gravel between wooded and marshy banks."""
    width = region.river * (1 + 0.25 * random_field(codes.shape, 60, rng)).clip(0.4)
    bank = distance - width - 2.5 * random_field(codes.shape, 18, rng)
    low = (bank < 4) & (codes != WATER)
    wet = random_field(codes.shape, 40, rng) > 0.6
    codes[low] = np.where(wet, WETLAND, FOREST)[low]
    bar = (distance < width + 1.5) & (random_field(codes.shape, 22, rng) > 1.3)
    codes[bar] = BARREN
    stream = (distance < width) & ~bar
    codes[stream] = WATER
    variant[stream] = 0.75 + 0.1 * random_field(codes.shape, 30, rng)[stream]


def _draw_towns(
    codes: np.ndarray,
    variant: np.ndarray,
    region: Region,
    height: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Build towns on low dry ground, streets and roads."""
    dry = (codes != WATER) & (codes != WETLAND)
    count = max(1, round(region.towns * codes.size / 512**2))
    radius = min(region.radius, 0.35 * min(codes.shape))
    towns: Settlements = draw_settlements(
        np.where(dry, -height, -9), count, radius * rng.uniform(0.8, 1.2), rng
    )
    codes[towns.parks & dry] = rng.choice([GRASSLAND, GRASSLAND, FOREST])
    built = (towns.built & (codes != WATER)) | towns.roads & (codes != WATER)
    bridge = towns.roads & (codes == WATER) & (variant > 0.65)
    codes[built | bridge] = URBAN
    variant[built | bridge] = towns.variant[built | bridge]

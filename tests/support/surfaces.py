"""Images of surfaces as Sentinel-2 sees them, in any order of bands."""

import numpy as np

from dfc2020_geo.bands import BAND_SETS

S2 = BAND_SETS['s2']

#: Reflectance x 10 000 at the top of the atmosphere, of 13 bands.
SURFACES = {
    'meadow': [1400, 1100, 950, 800, 1100, 2100, 2500, 2600, 2800, 900, 20, 1900, 1200],
    'lake': [1300, 1000, 700, 450, 380, 330, 330, 300, 230, 120, 10, 60, 40],
    'snow': [9000, 9200, 8900, 9000, 9000, 8800, 8700, 8600, 8400, 4000, 60, 900, 700],
    'dunes': [
        2200,
        2300,
        2900,
        3800,
        4000,
        4200,
        4400,
        4300,
        4500,
        1700,
        30,
        5200,
        4600,
    ],
    'cirrus': [
        3000,
        2900,
        2800,
        2700,
        2800,
        3300,
        3600,
        3500,
        3700,
        2200,
        900,
        2400,
        1700,
    ],
    'plateau': [
        2000,
        1900,
        2100,
        2400,
        2500,
        2600,
        2700,
        2700,
        2800,
        2000,
        500,
        3000,
        2600,
    ],
}


def draw(surface: str, side: int = 40) -> np.ndarray:
    """An image of a surface, of shape ``(13, side, side)``."""
    rng = np.random.default_rng(0)
    light = rng.normal(1, 0.1, (side, side))
    image = np.array(SURFACES[surface])[:, None, None] * light
    image *= rng.normal(1, 0.04, image.shape)
    return image.clip(1).round().astype(np.uint16)


def reorder(image: np.ndarray, names: str) -> np.ndarray:
    return image[[S2.index(name) for name in names.split()]]

"""Simulated MODIS land cover (IGBP, LCCS) at 500 m from labels at 10 m."""

import numpy as np

from ..classes import IGBP_TO_DFC2020
from .regions import (
    BARREN,
    CROPLAND,
    FOREST,
    GRASSLAND,
    SAVANNA,
    SHRUBLAND,
    URBAN,
    WATER,
    WETLAND,
)

#: Edge of a MODIS cell in pixels of 10 m.
CELL = 50

#: IGBP code of a cell without data.
FILL = 255


def _igbp(code: int) -> tuple[int, ...]:
    return tuple(i for i, dfc in enumerate(IGBP_TO_DFC2020) if dfc == code)


_WOODY_SAVANNA, _SAVANNA = _igbp(SAVANNA)
_CLOSED_SHRUBS, _OPEN_SHRUBS = _igbp(SHRUBLAND)
_CROPS, _MOSAIC = _igbp(CROPLAND)
_FORESTS = _igbp(FOREST)

#: Label errors of each class: probability, and the IGBP codes that are confused with it.
_CONFUSIONS: dict[int, tuple[float, tuple[int, ...]]] = {
    FOREST: (0.06, (_WOODY_SAVANNA, _MOSAIC)),
    SHRUBLAND: (0.15, (_igbp(GRASSLAND)[0], _SAVANNA, _igbp(BARREN)[0])),
    GRASSLAND: (0.1, (_CROPS, _OPEN_SHRUBS, _SAVANNA, _MOSAIC)),
    WETLAND: (0.14, (_igbp(GRASSLAND)[0], _SAVANNA, _igbp(WATER)[0], _MOSAIC)),
    CROPLAND: (0.08, (_igbp(GRASSLAND)[0], _MOSAIC)),
    URBAN: (0.06, (_CROPS, _igbp(BARREN)[0])),
    BARREN: (0.1, (_OPEN_SHRUBS, _igbp(GRASSLAND)[0])),
    WATER: (0.03, (_igbp(WETLAND)[0],)),
}

#: Fraction of the cells without data.
_FILL_FRACTION = 0.004

#: MCD12Q1's other legends by IGBP code from 0: LCCS land cover, land use, hydrology.
_LCCS = np.array(
    [
        [255, 11, 12, 13, 14, 15, 41, 43, 21, 22, 31, 31, 31, 1, 31, 2, 1, 3],
        [255, 10, 10, 10, 10, 10, 40, 40, 20, 20, 30, 30, 36, 9, 35, 2, 1, 3],
        [255, 10, 10, 10, 10, 10, 40, 40, 20, 20, 30, 50, 30, 30, 30, 2, 1, 3],
    ],
    dtype=np.uint8,
)


def truth_as_igbp(codes: np.ndarray) -> np.ndarray:
    """Convert DFC2020 codes to IGBP codes, the first one of each class.

    Args:
        codes: DFC2020 codes of shape ``(H, W)``.

    Returns:
        IGBP codes of shape ``(H, W)``, uint8.
    """
    table = np.zeros(max(IGBP_TO_DFC2020) + 1, dtype=np.uint8)
    table[1:] = [_igbp(code)[0] for code in range(1, len(table))]
    return table[codes]


def draw_modis_labels(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Label cells of 500 m on a grid that is not aligned with the image.

    A cell has the class of its majority. Mixed woody cells are savannas, mixed fields
    are mosaics, some cells are plain wrong and a few have no data. The rules follow
    the legend of MCD12Q1 (https://doi.org/10.5067/MODIS/MCD12Q1.061).

    Args:
        codes: The truth, DFC2020 codes of shape ``(H, W)``.
        rng: Random generator.

    Returns:
        IGBP codes of shape ``(H, W)``, uint8.
    """
    forest = int(rng.choice(_FORESTS))
    y, x = ((np.arange(n) + rng.integers(1, CELL)) // CELL for n in codes.shape)
    cells = np.empty((y[-1] + 1, x[-1] + 1), dtype=np.uint8)
    for row, column in np.ndindex(cells.shape):
        inside = codes[np.ix_(y == row, x == column)]
        counts = np.bincount(inside.ravel(), minlength=len(_CONFUSIONS) + 3)
        cells[row, column] = _label_cell(counts / inside.size, forest, rng)
    return cells[np.ix_(y, x)]


def _label_cell(fractions: np.ndarray, forest: int, rng: np.random.Generator) -> int:
    """Return the IGBP code of a cell, from the fraction of each DFC2020 code in it."""
    majority = int(np.argmax(fractions))
    wrong, others = _CONFUSIONS[majority]
    chance = rng.random()
    if chance < _FILL_FRACTION:
        return FILL
    if chance < _FILL_FRACTION + wrong:
        return int(rng.choice(others))
    return _label_majority(majority, fractions, forest)


def _label_majority(majority: int, fractions: np.ndarray, forest: int) -> int:
    woody, open_land = fractions[FOREST], fractions[GRASSLAND] + fractions[SHRUBLAND]
    wild = woody + open_land
    if fractions[URBAN] > 0.4:
        return _igbp(URBAN)[0]
    if majority == CROPLAND:
        return _MOSAIC if fractions[CROPLAND] < 0.6 and wild > 0.25 else _CROPS
    if majority in (FOREST, GRASSLAND, SHRUBLAND):
        if 0.3 < woody < 0.6:
            return _WOODY_SAVANNA
        if 0.12 < woody <= 0.3 and open_land > 0.5:
            return _SAVANNA
    if majority == FOREST:
        return forest
    if majority == SHRUBLAND:
        return _CLOSED_SHRUBS if fractions[SHRUBLAND] > 0.6 else _OPEN_SHRUBS
    return _igbp(majority)[0]


def with_lccs(igbp: np.ndarray) -> np.ndarray:
    """Append the three LCCS layers, bands 2 to 4 of SEN12MS's label files.

    Args:
        igbp: IGBP codes of shape ``(H, W)``, uint8.

    Returns:
        Codes of shape ``(4, H, W)``, uint8: IGBP, LCCS land cover, LCCS land use, LCCS
        surface hydrology.
    """
    known = np.where(igbp == FILL, 0, igbp)
    return np.concatenate([igbp[None], _LCCS[:, known]])

"""Spectra and backscatter of each class: Sentinel-2 reflectance, Sentinel-1 sigma0.

The rows of :data:`MEASURED` are means over pixels of real Sentinel-2 L1C images
(Slovenia, three clear dates; water and dry mixed land in Spain, a flood scene). The
spectra in :data:`REFLECTANCE` are these or, for classes that were not measured, derived
from them as the comment beside each says.
"""

import numpy as np

from .regions import (
    BARREN,
    CROPLAND,
    FOREST,
    GRASSLAND,
    SHRUBLAND,
    URBAN,
    WATER,
    WETLAND,
)

#: Measured reflectance x 10 000 of bands B01 to B12 in file order.
MEASURED: dict[str, np.ndarray] = {
    name: np.array(row.split(), dtype=np.float32)
    for name, row in {
        'forest, June': '1109 779 603 366 609 1691 2154 2118 2404 897 11 954 411',
        'forest, August': '1018 726 620 363 685 2120 2727 2619 2998 830 9 1220 516',
        'shrubland': '1139 811 673 429 764 1983 2478 2452 2770 1018 12 1332 608',
        'grassland': '1158 874 808 538 1000 2455 2967 2968 3302 1163 12 1781 853',
        'cultivated': '1145 940 911 679 1081 2454 2885 2780 3208 969 10 1687 875',
        'artificial': '1187 970 862 672 978 2106 2507 2434 2773 1014 11 1571 862',
        'clear water': '1294 993 882 804 834 670 738 615 645 139 9 296 172',
        'turbid water': '1479 1298 1399 1480 1563 1462 1676 1425 1546 262 10 771 440',
        'dry land': '1550 1357 1376 1392 1610 2143 2485 2308 2642 428 12 1997 1249',
    }.items()
}


def _mix(fraction: float, first: str, second: str) -> np.ndarray:
    return fraction * MEASURED[first] + (1 - fraction) * MEASURED[second]


def _tint(
    name: str, visible: float, red: float, infrared: float, shortwave: float
) -> np.ndarray:
    """Scale B01-B03, B04-B05, B06-B09 and B11-B12 of a measured row."""
    factors = [visible] * 3 + [red] * 2 + [infrared] * 5 + [1] + [shortwave] * 2
    return MEASURED[name] * np.array(factors, dtype=np.float32)


#: Reflectance x 10 000 of each class at evenly spaced variants from 0 to 1, by DFC2020
#: code; each of shape (variants, 13).
REFLECTANCE: dict[int, np.ndarray] = {
    FOREST: np.stack([MEASURED['forest, June'], MEASURED['forest, August']]),
    # To the dry side shrubs stand on open ground.
    SHRUBLAND: np.stack([MEASURED['shrubland'], _mix(0.75, 'shrubland', 'dry land')]),
    # To the dry side the grass has withered.
    GRASSLAND: np.stack([MEASURED['grassland'], _mix(0.82, 'grassland', 'dry land')]),
    # Reeds over water, by fraction of visible water.
    WETLAND: np.stack(
        [_mix(0.7, 'shrubland', 'clear water'), _mix(0.35, 'grassland', 'clear water')]
    ),
    # A green crop, the mean, a ripe one and bare soil; their mean is near the row.
    CROPLAND: np.stack(
        [
            _tint('cultivated', 0.86, 0.62, 1.42, 0.8),
            _tint('cultivated', 0.97, 0.95, 1.0, 1.05),
            _tint('cultivated', 1.12, 1.4, 0.9, 1.2),
            _tint('cultivated', 1.25, 1.8, 0.7, 1.3),
        ]
    ),
    # A house in its garden, the mean, a roof or asphalt.
    URBAN: np.stack(
        [
            _tint('artificial', 1.0, 0.98, 1.08, 0.98),
            _tint('artificial', 1.18, 1.4, 0.92, 1.05),
            _tint('artificial', 1.55, 2.1, 0.78, 1.1),
        ]
    ),
    # Dry land without its plants: rock, then sand.
    BARREN: np.stack(
        [
            _tint('dry land', 1.02, 1.15, 0.96, 1.2),
            _tint('dry land', 1.3, 1.65, 1.2, 1.5),
        ]
    ),
    # Deep water, from which less comes back; the clear and the turbid water measured.
    WATER: np.stack(
        [
            _tint('clear water', 0.97, 0.6, 0.6, 0.6),
            MEASURED['clear water'],
            MEASURED['turbid water'],
        ]
    ),
}

#: Sigma nought in dB of each class as ((VV, VH) at variant 0, (VV, VH) at variant 1),
#: by DFC2020 code: land about -9 and -17, water -17 and -25.5 as measured; how the classes
#: of the land lie around their mean is derived (volume scattering of forests raises
#: VH, walls raise VV, smooth ground lowers both).
BACKSCATTER: dict[int, np.ndarray] = {
    code: np.array(pairs, dtype=np.float32)
    for code, pairs in {
        FOREST: ((-8.4, -13.9), (-9.0, -14.6)),
        SHRUBLAND: ((-10.0, -16.0), (-11.2, -18.2)),
        GRASSLAND: ((-11.3, -18.2), (-12.3, -19.8)),
        WETLAND: ((-9.6, -17.2), (-14.5, -21.5)),
        CROPLAND: ((-9.6, -16.2), (-11.8, -20.0)),
        URBAN: ((-6.8, -14.2), (-4.8, -13.4)),
        BARREN: ((-11.5, -20.6), (-15.0, -24.0)),
        WATER: ((-16.6, -24.8), (-17.8, -26.2)),
    }.items()
}

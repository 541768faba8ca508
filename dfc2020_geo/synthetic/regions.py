"""Kinds of synthetic landscape: land cover fractions, rivers, towns, relief."""

from dataclasses import dataclass

from ..classes import DFC2020_CLASSES

_CODES = {land_cover.name: code for code, land_cover in DFC2020_CLASSES.items()}
FOREST = _CODES['Forest']
SHRUBLAND = _CODES['Shrubland']
SAVANNA = _CODES['Savanna']
GRASSLAND = _CODES['Grassland']
WETLAND = _CODES['Wetland']
CROPLAND = _CODES['Cropland']
URBAN = _CODES['Urban/Built-up']
BARREN = _CODES['Barren']
WATER = _CODES['Water']


@dataclass(frozen=True, slots=True)
class Region:
    """Parameters of a kind of landscape.

    Each fraction is of the area that the ones before it leave.

    Attributes:
        water: Fraction of sea and lakes.
        wetland: Fraction of marsh.
        barren: Fraction of sand and rock.
        farmland: Fraction of fields.
        forest: Fraction of forest.
        shrubland: Fraction of shrubland; grassland is the rest.
        river: Half width of the river in pixels, 0 for none.
        towns: Towns and villages per 512 x 512 pixels.
        radius: Radius of the largest town in pixels.
        relief: Standard deviation of the elevation in metres.
        tilt: Slope to one side, as at a coast, in standard deviations over the area.
    """

    water: float
    wetland: float
    barren: float
    farmland: float
    forest: float
    shrubland: float
    river: float
    towns: int
    radius: float
    relief: float
    tilt: float = 0


#: Kinds of landscape, by name.
REGIONS: dict[str, Region] = {
    'lowland': Region(0.03, 0.04, 0.0, 0.82, 0.45, 0.15, 4, 12, 34, 12),
    'coast': Region(0.42, 0.14, 0.02, 0.5, 0.4, 0.25, 0, 8, 40, 25, 1.6),
    'dryland': Region(0.02, 0.0, 0.32, 0.1, 0.04, 0.6, 2.5, 5, 22, 90),
    'hills': Region(0.03, 0.03, 0.02, 0.26, 0.66, 0.2, 2.5, 7, 16, 110),
    'city': Region(0.04, 0.02, 0.005, 0.5, 0.4, 0.2, 7, 10, 95, 18),
    'steppe': Region(0.02, 0.03, 0.04, 0.18, 0.06, 0.14, 3, 5, 16, 40),
    'delta': Region(0.24, 0.55, 0.005, 0.5, 0.3, 0.3, 9, 5, 18, 6, 0.7),
}

"""Land cover classes, legends and class schemes: codes, indices, names, colours.

DFC2020 codes and the table from IGBP follow the IEEE GRSS Data Fusion Contest 2020
(https://doi.org/10.21227/rha7-m332); colours are those of the MODIS IGBP legend.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast, get_args

import numpy as np

#: Names of the legends that the codes of labels may follow.
LegendName = Literal['igbp', 'dfc2020']

#: Index of a pixel that neither losses nor scores count.
IGNORE_INDEX = 255


@dataclass(frozen=True, slots=True)
class LandCover:
    """One land cover class of a legend.

    Attributes:
        code: Number of the class in files, 0 to 255.
        name: Name of the class, for people.
        color: Red, green and blue, 0 to 255.
    """

    code: int
    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Legend:
    """What the codes of a file mean.

    Attributes:
        name: Its name.
        classes: The classes that a file may hold, in the order of their codes.
        nodata: Code of a pixel without data.
    """

    name: str
    classes: tuple[LandCover, ...]
    nodata: int

    @property
    def names(self) -> dict[int, str]:
        """The name of each class by its code."""
        return {land_cover.code: land_cover.name for land_cover in self.classes}

    @property
    def palette(self) -> dict[int, tuple[int, int, int]]:
        """The colour of each class by its code: red, green and blue, 0 to 255."""
        return {land_cover.code: land_cover.color for land_cover in self.classes}


#: The contest's legend: ten classes, 0 without data.
DFC2020_LEGEND = Legend(
    'dfc2020',
    (
        LandCover(1, 'Forest', (0x00, 0x99, 0x00)),
        LandCover(2, 'Shrubland', (0xC6, 0xB0, 0x44)),
        LandCover(3, 'Savanna', (0xFB, 0xFF, 0x13)),
        LandCover(4, 'Grassland', (0xB6, 0xFF, 0x05)),
        LandCover(5, 'Wetland', (0x27, 0xFF, 0x87)),
        LandCover(6, 'Cropland', (0xC2, 0x4F, 0x44)),
        LandCover(7, 'Urban/Built-up', (0xA5, 0xA5, 0xA5)),
        LandCover(8, 'Snow/Ice', (0x69, 0xFF, 0xF8)),
        LandCover(9, 'Barren', (0xF9, 0xFF, 0xA4)),
        LandCover(10, 'Water', (0x1C, 0x0D, 0xFF)),
    ),
    nodata=0,
)

#: The classes of the contest's legend, by code.
DFC2020_CLASSES = {c.code: c for c in DFC2020_LEGEND.classes}

#: DFC2020 code of each IGBP code 0 to 17 (0 and 255, the MODIS fill, have none).
IGBP_TO_DFC2020 = (0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 6, 8, 9, 10)
_IGBP_FILL = 255


@dataclass(frozen=True, slots=True)
class ClassScheme:
    """Class scheme: the ordered classes of a model's output.

    Codes of classes outside the scheme are encoded as :data:`IGNORE_INDEX`.

    Attributes:
        name: The name under which :data:`SCHEMES` holds it.
        classes: The classes; a class's position is its index.
        legend: What the codes of its class maps mean: these classes, perhaps more.
    """

    name: str
    classes: tuple[LandCover, ...]
    legend: Legend

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.classes)

    def __hash__(self) -> int:
        """Look a scheme up by its name, not by all that its classes are."""
        return hash(self.name)

    @property
    def labels(self) -> list[str]:
        """The names of the classes, in index order."""
        return [land_cover.name for land_cover in self.classes]

    def encode[Codes: Any](
        self, codes: Codes, legend: str, out: np.ndarray | None = None
    ) -> Codes:
        """Convert the codes of a file to class indices.

        Args:
            codes: Array or tensor of any integer dtype and any shape.
            legend: Name of the legend of *codes*: the scheme's own, or ``'igbp'`` for
                a scheme of the contest's classes. Without data are 0 and 255 of
                ``'igbp'`` and the own legend's nodata code.
            out: Where the indices of an array go, uint8 of the same shape.

        Returns:
            Indices of the same shape and kind, uint8 in an array and int64 in a
            tensor; :data:`IGNORE_INDEX` where there is no class of this scheme.

        Raises:
            ValueError: If there is no such legend, a code is not in it, or codes are
                not integers.

        Examples:
            >>> scheme = get_scheme('dfc2020-no-savanna')
            >>> scheme.encode(np.array([1, 3, 4, 0], np.uint8), 'dfc2020')
            array([  0, 255,   2, 255], dtype=uint8)
            >>> scheme.encode(np.array([1, 5, 17], np.uint8), 'igbp')
            array([0, 0, 8], dtype=uint8)
        """
        return _look_up(_encoding(self, legend), codes, f'{legend} codes', out)

    def decode[Indices: Any](self, indices: Indices) -> Indices:
        """Convert class indices to the codes of a class map.

        Args:
            indices: Array or tensor of any integer dtype and any shape.

        Returns:
            Codes of the scheme's legend, of the same shape and kind, uint8; its
            nodata code where the index is :data:`IGNORE_INDEX`.

        Raises:
            ValueError: If an index is not in the scheme, or is not an integer.

        Examples:
            >>> scheme = get_scheme('dfc2020-no-savanna')
            >>> scheme.decode(np.array([0, 2, 255], np.uint8))
            array([1, 4, 0], dtype=uint8)
        """
        codes = _look_up(_decoding(self), indices, f'indices of {self.name}')
        return codes if isinstance(codes, np.ndarray) else codes.byte()


#: What is written for each value 0 to 255, and the number that marks values without an
#: entry.
_Table = tuple[bytes, int]


@cache
def _encoding(scheme: ClassScheme, legend: str) -> _Table:
    index = {land_cover.code: i for i, land_cover in enumerate(scheme.classes)}
    own = {c.code: index.get(c.code, IGNORE_INDEX) for c in scheme.legend.classes}
    own[scheme.legend.nodata] = IGNORE_INDEX
    if legend == scheme.legend.name:
        return _make_table(own)
    if require_legend(legend) != 'igbp' or scheme.legend != DFC2020_LEGEND:
        raise ValueError(
            f"Expected codes of the legend '{scheme.legend.name}' for the scheme "
            f"'{scheme.name}', got '{legend}'."
        )
    igbp = {code: own[dfc] for code, dfc in enumerate(IGBP_TO_DFC2020)}
    return _make_table(igbp | {_IGBP_FILL: IGNORE_INDEX})


@cache
def _decoding(scheme: ClassScheme) -> _Table:
    codes = {i: land_cover.code for i, land_cover in enumerate(scheme.classes)}
    return _make_table(codes | {IGNORE_INDEX: scheme.legend.nodata})


def _make_table(entries: dict[int, int]) -> _Table:
    unknown = max({*range(256)} - {*entries.values()})
    return bytes(entries.get(value, unknown) for value in range(256)), unknown


def _look_up(
    table: _Table, values: Any, meaning: str, out: np.ndarray | None = None
) -> Any:
    """Look *values* up in *table*; tensors work as well, without importing torch."""
    entries, unknown = table
    is_array = isinstance(values, np.ndarray)
    if values.dtype.kind not in 'iu' if is_array else values.is_floating_point():
        raise ValueError(f'Expected {meaning} of an integer type, got {values.dtype}.')
    if is_array and (translated := _translate(table, values, out)) is not None:
        return translated
    wide = values.astype(np.int64) if is_array else values.long()
    outside = (wide < 0) | (wide >= len(entries))
    found = np.array([*entries]) if is_array else wide.new_tensor([*entries])
    result = found[wide.clip(0, len(entries) - 1)]
    outside |= result == unknown
    if outside.any():
        others = sorted(set(wide[outside].tolist()))
        known = [i for i, entry in enumerate(entries) if entry != unknown]
        raise ValueError(f'Expected {meaning} among {known}, got {others[:10]}.')
    return result


def _translate(
    table: _Table, values: np.ndarray, out: np.ndarray | None
) -> np.ndarray | None:
    """Look up an array; None if one of its values is not in *table*."""
    entries, unknown = table
    narrow = values.astype(np.uint8, copy=False)
    if narrow is not values and not np.array_equal(narrow, values):
        return None
    # Several times faster than indexing, which makes positions of 64 bits first.
    found = narrow.tobytes().translate(entries)
    if unknown in found:
        return None
    out = np.empty(values.shape, np.uint8) if out is None else out
    out[...] = np.frombuffer(found, np.uint8).reshape(values.shape)
    return out


#: Every class scheme by name.
SCHEMES: dict[str, ClassScheme] = {
    name: ClassScheme(
        name,
        tuple(c for c in DFC2020_LEGEND.classes if c.code not in absent),
        DFC2020_LEGEND,
    )
    for name, absent in {
        'dfc2020': (),
        'dfc2020-no-savanna': (3,),
        'dfc2020-contest': (3, 8),
    }.items()
}


def get_scheme(name: str) -> ClassScheme:
    """Return a class scheme by name.

    Args:
        name: One of the names in :data:`SCHEMES`.

    Returns:
        The scheme: ``dfc2020`` has all ten classes, ``dfc2020-no-savanna`` the nine
        that the 2020 baseline trained, ``dfc2020-contest`` the eight that occur in
        the contest's truth.

    Raises:
        ValueError: If there is no such scheme.

    Examples:
        >>> scheme = get_scheme('dfc2020-contest')
        >>> len(scheme), scheme.labels[:3]
        (8, ['Forest', 'Shrubland', 'Grassland'])
    """
    if name not in SCHEMES:
        raise ValueError(f"Expected a class scheme of {tuple(SCHEMES)}, got '{name}'.")
    return SCHEMES[name]


def require_legend(name: str) -> LegendName:
    """Check that there is a legend of a name.

    Args:
        name: Name of the legend.

    Returns:
        The name.

    Raises:
        ValueError: If there is no such legend.
    """
    if name not in get_args(LegendName):
        raise ValueError(
            f"Expected legend to be one of {get_args(LegendName)}, got '{name}'."
        )
    return cast(LegendName, name)

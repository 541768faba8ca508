"""Sentinel-1 and Sentinel-2 bands and band sets: names, GSD, channel order.

The package has one channel order, that of :data:`BANDS`: the 13 bands of Sentinel-2 in
file order, then VV and VH. ``torchgeo.datasets.SEN12MS`` has VV and VH first;
:class:`~dfc2020_geo.transforms.SelectBands` reorders its samples.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Sensor = Literal['s1', 's2']


@dataclass(frozen=True, slots=True)
class Band:
    """One band of Sentinel-1 or Sentinel-2.

    Attributes:
        name: ESA's name of the band, for example ``'B04'`` or ``'VV'``.
        sensor: ``'s1'`` or ``'s2'``.
        file_index: Band index in the sensor's file, counted from 1 as in GDAL.
        gsd: Native ground sampling distance in metres.
    """

    name: str
    sensor: Sensor
    file_index: int
    gsd: int


_S2_GSD = {
    'B01': 60,
    'B02': 10,
    'B03': 10,
    'B04': 10,
    'B05': 20,
    'B06': 20,
    'B07': 20,
    'B08': 10,
    'B8A': 20,
    'B09': 60,
    'B10': 60,
    'B11': 20,
    'B12': 20,
}

#: Every band by name, in channel order.
BANDS: dict[str, Band] = {
    band.name: band
    for band in (
        *(Band(n, 's2', i, gsd) for i, (n, gsd) in enumerate(_S2_GSD.items(), 1)),
        *(Band(name, 's1', i, 10) for i, name in enumerate(('VV', 'VH'), 1)),
    )
}


def _band_set(sensor: Sensor, gsd: int | None = None) -> tuple[str, ...]:
    bands = (band for band in BANDS.values() if band.sensor == sensor)
    return tuple(band.name for band in bands if gsd in (None, band.gsd))


#: Band sets: band names in channel order, by the name of the set.
BAND_SETS: dict[str, tuple[str, ...]] = {
    's1': _band_set('s1'),
    's2-10m': _band_set('s2', 10),
    's2-20m': _band_set('s2', 20),
    's2-60m': _band_set('s2', 60),
    's2': _band_set('s2'),
}

#: Default bands: all but the 60 m ones, which are meant for atmospheric correction.
DEFAULT_BANDS = ('s2-10m', 's2-20m', 's1')

#: Number of bands in a file of each sensor.
FILE_BANDS: dict[Sensor, int] = {'s1': len(BAND_SETS['s1']), 's2': len(BAND_SETS['s2'])}

#: Values that are scaled to 0 and 1: sigma nought in dB, reflectance x 10 000.
VALUE_RANGE: dict[Sensor, tuple[float, float]] = {
    's1': (-25.0, 0.0),
    's2': (0.0, 10_000.0),
}

#: What NaN becomes before scaling: the low end of the band's range, or 0 (that is
#: 0 dB, the brightest value) as in the 2020 baseline.
NanPolicy = Literal['lowest', 'baseline']

#: Bands of a true-colour composite: red, green, blue.
RGB_BANDS = ('B04', 'B03', 'B02')


def select_bands(names: Iterable[str | Band]) -> tuple[Band, ...]:
    """Resolve names of bands and band sets to bands in channel order.

    Order and repetition of *names* do not matter: equal selections give equal
    channels.

    Args:
        names: Names from :data:`BANDS` or :data:`BAND_SETS`, for example
            ``['s2-10m', 'B11', 's1']``, or :class:`Band` objects.

    Returns:
        The selected bands, without repeats, in the order of :data:`BANDS`.

    Raises:
        ValueError: If *names* is empty or contains an unknown name.

    Examples:
        >>> bands = select_bands(['s1', 'B8A', 'B02'])
        >>> [(band.name, band.gsd) for band in bands]
        [('B02', 10), ('B8A', 20), ('VV', 10), ('VH', 10)]
        >>> select_bands(['B99'])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: Expected one or more of the bands B01, ..., got ['B99'].
    """
    given = names if isinstance(names, Iterable) else [names]
    given = [given] if isinstance(given, str) else given
    names = [n.name if isinstance(n, Band) else n for n in given]
    known = {*BANDS, *BAND_SETS}
    unknown = [n for n in names if not isinstance(n, str) or n not in known]
    if unknown or not names:
        raise ValueError(
            f'Expected one or more of the bands {", ".join(BANDS)} or band sets '
            f'{", ".join(BAND_SETS)}, got {unknown or names}.'
        )
    selected = {band for n in names for band in BAND_SETS.get(n, (n,))}
    return tuple(band for band in BANDS.values() if band.name in selected)


def band_names(names: Iterable[str | Band]) -> tuple[str, ...]:
    """Resolve names of bands and band sets to band names in channel order.

    Args:
        names: As for :func:`select_bands`.

    Returns:
        The name of each selected band, in channel order.

    Raises:
        ValueError: As :func:`select_bands`.

    Examples:
        >>> band_names(['s1', 's2-10m'])
        ('B02', 'B03', 'B04', 'B08', 'VV', 'VH')
    """
    return tuple(band.name for band in select_bands(names))

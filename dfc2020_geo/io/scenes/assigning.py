"""Which band of which file is which band of a sensor."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...bands import BAND_SETS, FILE_BANDS, Sensor
from ..band_names import name_band, name_bands, split_file_name
from .headers import RasterFacts

#: What the sensors are called.
SENSORS: dict[Sensor, str] = {'s1': 'Sentinel-1', 's2': 'Sentinel-2'}

#: A band in a file that is none of those the sensor has, in ``--s2_bands``.
_OTHER = '-'

#: Sizes of pixels that differ by less are the same.
_SAME_SIZE = 1.01


class Place(NamedTuple):
    """Where a band is.

    Attributes:
        file: The file that holds it.
        index: Its position in the file, counted from 1.
        how: How it was recognised.
    """

    file: RasterFacts
    index: int
    how: str


def assign(
    files: Sequence[RasterFacts],
    sensor: Sensor,
    names: Sequence[str] | str | None = None,
) -> dict[str, Place]:
    """Find the bands of a sensor in the files of a scene.

    Args:
        files: The files.
        sensor: The sensor whose images they are.
        names: Name of each band of all the files, in their order, ``-`` for one to
            leave out; None if they are to be recognised: by description, by the name
            of the file, or by their number.

    Returns:
        Where each band is, by name; of a band in several resolutions, the finest.

    Raises:
        ValueError: If *names* does not suit the files.
        RuntimeError: If two bands of the same resolution claim to be the same one.
    """
    if isinstance(names, str):
        names = names.replace(',', ' ').split()
    places: dict[str, list[Place]] = defaultdict(list)
    found = _given(files, sensor, names) if names else _recognised(files, sensor)
    for name, place in found:
        places[name].append(place)
    return {name: _finest(name, candidates) for name, candidates in places.items()}


def require(
    bands: Iterable[str],
    places: dict[str, Place],
    files: Sequence[RasterFacts],
    sensor: Sensor,
) -> None:
    """Check that the bands to read were found.

    Args:
        bands: Names of the bands to read.
        places: Where bands are, by name.
        files: The files that they were looked for in.
        sensor: The sensor whose images these are.

    Raises:
        RuntimeError: If one was not; the message names it and says what was found.
    """
    missing = [band for band in bands if band not in places]
    if not missing:
        return
    known = [name for name in BAND_SETS[sensor] if name in places]
    told = {places[name].file.path for name in known}
    untold = [file.describe() for file in files if file.path not in told]
    found = '; '.join([*([', '.join(known)] if known else []), *untold[:3]])
    raise RuntimeError(
        f'Expected the bands {", ".join(missing)} of {SENSORS[sensor]} in '
        f'{_where(files)}, got {found}. {_advice(missing, known, files, sensor)}'
    )


def _where(files: Sequence[RasterFacts]) -> str:
    more = f' and {len(files) - 1} more' if len(files) > 1 else ''
    return f'{files[0].path}{more}'


def _advice(
    missing: Sequence[str],
    known: Sequence[str],
    files: Sequence[RasterFacts],
    sensor: Sensor,
) -> str:
    if missing == ['B10'] and known:
        return (
            'Level-2A has no B10: map a Level-1C product, or take a model that does not '
            'read it.'
        )
    advice = f'Name the bands of the file in its order as --{sensor}_bands'
    count = sum(file.count for file in files)
    level_2a = [name for name in BAND_SETS['s2'] if name != 'B10']
    if sensor == 's2' and count == len(level_2a) and 'B10' not in missing:
        return f'{advice}, for Level-2A without B10: {",".join(level_2a)}.'
    return f'{advice}, {_OTHER} for one that is something else.'


def _given(
    files: Sequence[RasterFacts], sensor: Sensor, names: Sequence[str]
) -> list[tuple[str, Place]]:
    spots = [(file, i) for file in files for i in range(1, file.count + 1)]
    if len(spots) != len(names):
        raise ValueError(
            f'Expected a name in --{sensor}_bands for each of the {len(spots)} bands '
            f'of {_where(files)}, got {len(names)}: {", ".join(names)}.'
        )
    found = []
    for (file, index), name in zip(spots, names, strict=True):
        band = name_band(name, sensor)
        if band in BAND_SETS[sensor]:
            found.append((band, Place(file, index, f'--{sensor}_bands')))
        elif name != _OTHER:
            raise ValueError(
                f'Expected --{sensor}_bands to be of {", ".join(BAND_SETS[sensor])} '
                f'or {_OTHER}, got {name}.'
            )
    return found


def _recognised(
    files: Sequence[RasterFacts], sensor: Sensor
) -> list[tuple[str, Place]]:
    return [
        (name, Place(file, index, how))
        for file in files
        for how, names in [_names(file, sensor)]
        for index, name in enumerate(names, 1)
        if name
    ]


def _names(file: RasterFacts, sensor: Sensor) -> tuple[str, Sequence[str | None]]:
    """Name the bands of one file, and say how they were recognised."""
    by_file = split_file_name(file.stem, sensor)[0]
    if file.count == 1 and by_file:
        return 'name of the file', [by_file]
    names = name_bands(file.descriptions, sensor)
    if any(names):
        return 'description', names
    if file.count == FILE_BANDS[sensor]:
        return 'position', BAND_SETS[sensor]
    return '', names


def _finest(name: str, places: Sequence[Place]) -> Place:
    first, *others = sorted(places, key=lambda place: place.file.grid.pixel_area)
    limit = first.file.grid.pixel_area * _SAME_SIZE
    if others and others[0].file.grid.pixel_area <= limit:
        raise RuntimeError(
            f'Expected one band {name}, got band {first.index} of {first.file.path} and '
            f'band {others[0].index} of {others[0].file.path}; remove one of them, or '
            'name the file to read.'
        )
    return first

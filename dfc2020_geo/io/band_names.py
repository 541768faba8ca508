"""Band names from band descriptions (``nir``, ``Sigma0_VV_db``) and file names."""

import re
from collections.abc import Sequence

from ..bands import Sensor

_TOKENS: dict[Sensor, re.Pattern[str]] = {
    's2': re.compile(
        r'(?<![a-z0-9])(?:band|b)[ _-]?(0?8a|1[0-2]|0?[1-9])(?![a-z0-9])', re.IGNORECASE
    ),
    's1': re.compile(r'(?<![a-z])(vv|vh|hh|hv)(?=db|[^a-z]|$)', re.IGNORECASE),
}

#: Names of the spectrum, as in STAC and its extensions, by band.
_SPECTRUM = {
    'B01': 'coastal coastalaerosol aerosol',
    'B02': 'blue',
    'B03': 'green',
    'B04': 'red',
    'B05': 'rededge1 rededge071',
    'B06': 'rededge2 rededge075',
    'B07': 'rededge3 rededge078',
    'B08': 'nir nearinfrared',
    'B8A': 'nir08 nirnarrow narrownir rededge4',
    'B09': 'nir09 watervapour watervapor',
    'B10': 'cirrus swircirrus',
    'B11': 'swir1 swir16',
    'B12': 'swir2 swir22',
}
_BY_SPECTRUM = {
    name: band for band, names in _SPECTRUM.items() for name in names.split()
}

#: "Band 1", "Band 2", ...: a position as often as a name.
_NUMBERED = re.compile(r'(band|b)[ _-]?0*(\d+)', re.IGNORECASE)

#: What the names of Sentinel-2 files say after the band.
_GSD = re.compile(r'[_-](10|20|60)m(?![a-z0-9])', re.IGNORECASE)

#: The last band to have the same number and position: B8A is the ninth.
_LAST_IN_STEP = 8


def name_band(text: str, sensor: Sensor) -> str | None:
    """Recognise the band that a description names.

    Args:
        text: For example ``'B4'``, ``'band 8a'``, ``'B04 - Red'``, ``'nir'`` or
            ``'Sigma0_VV_db'``.
        sensor: Sensor of the file.

    Returns:
        Name of the band; a polarisation may be one that no network reads. None if the
        text names no band, or more than one.

    Examples:
        >>> [name_band(text, 's2') for text in ('B04 - Red', 'band 8a', 'nir', 'red, nir')]
        ['B04', 'B8A', 'B08', None]
        >>> name_band('Sigma0_VV_db', 's1')
        'VV'
    """
    found = {_normalise(match[1]) for match in _TOKENS[sensor].finditer(text)}
    if not found and sensor == 's2':
        spectral = _BY_SPECTRUM.get(re.sub(r'[^a-z0-9]', '', text.lower()))
        found = {spectral} if spectral else found
    return found.pop() if len(found) == 1 else None


def split_file_name(stem: str, sensor: Sensor) -> tuple[str | None, str]:
    """Split a file name into its band and the name of its scene.

    Args:
        stem: Name of the file, without its extension.
        sensor: Sensor of the file.

    Returns:
        Name of the band, or None; and the rest of the name, which the files of a scene
        have in common.

    Examples:
        >>> split_file_name('T32TQM_20220610_B8A_20m', 's2')
        ('B8A', 'T32TQM_20220610')
    """
    rest = _GSD.sub('', stem) if sensor == 's2' else stem
    if band := name_band(rest, sensor):
        token = _TOKENS[sensor].search(rest)
        rest = rest[: token.start()] + rest[token.end() :] if token else ''
        return band, _tidy(rest)
    last = re.split(r'[_.-]', rest)[-1]
    if sensor == 's2' and (band := _BY_SPECTRUM.get(last.lower())):
        return band, _tidy(rest.removesuffix(last))
    return None, stem


def name_bands(descriptions: Sequence[str | None], sensor: Sensor) -> list[str | None]:
    """Recognise the bands of a file by their descriptions.

    Args:
        descriptions: Description of each band.
        sensor: Sensor of the file.

    Returns:
        Name of each band, None where the description names none. If descriptions only
        count the bands, all are None.
    """
    if _only_counted(descriptions):
        return [None] * len(descriptions)
    return [name_band(text, sensor) if text else None for text in descriptions]


def _normalise(token: str) -> str:
    """Write a number as in B01 and B8A, and a polarisation in capitals."""
    name = token.upper().lstrip('0')
    return name if name.isalpha() else f'B{name:>02}'


def _tidy(rest: str) -> str:
    return re.sub(r'([_.-])[_.-]+', r'\1', rest).strip('_.- ')


def _only_counted(descriptions: Sequence[str | None]) -> bool:
    """Tell whether descriptions only say 1, 2, 3, ..."""
    matches = [_NUMBERED.fullmatch(text or '') for text in descriptions]
    counted = [m[1].lower() for i, m in enumerate(matches, 1) if m and int(m[2]) == i]
    if len(counted) < len(matches):
        return False
    return len(counted) > _LAST_IN_STEP or 'band' in counted

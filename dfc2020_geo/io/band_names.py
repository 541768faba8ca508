"""Band names from band descriptions (``nir``, ``Sigma0_VV_db``) and file names.

The texts of one file, or of the files of one folder, are judged together: what ``nir``
or ``swir_2`` means depends on the others, and what all have in common names no band.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..bands import BAND_SETS, Sensor

_CODES: dict[Sensor, re.Pattern[str]] = {
    's2': re.compile(
        r'(?<![a-z0-9])(?:band|b)[ _-]?(0?8a|1[0-2]|0?[1-9])(?![a-z0-9])', re.IGNORECASE
    ),
    's1': re.compile(r'(?<![a-z])(vv|vh|hh|hv)(?=db|[^a-z]|$)', re.IGNORECASE),
}

#: Names of the spectrum, and the bands that they can mean: those of STAC and Earth Search
#: (``nir08``), FORCE (``BROADNIR``), DEA (``nir_1``), Theia and others, without what
#: stands between their words.
_SPECTRUM = {
    'B01': 'coastal coastalaerosol coastalblue aerosol ultrablue',
    'B02': 'blue',
    'B03': 'green',
    'B04': 'red',
    'B05': 'rededge1 rededge071 rededge705 re1 vre1',
    'B06': 'rededge2 rededge075 rededge740 re2 vre2',
    'B07': 'rededge3 rededge078 rededge783 re3 vre3',
    'B08': 'broadnir nirbroad nirwide widenir nir1 nir842',
    'B8A': 'nir08 nir2 nir865 nir8a nirnarrow narrownir rededge4 re4 vre4',
    'B09': 'nir09 watervapour watervapor',
    'B10': 'cirrus swircirrus',
    'B11': 'swir1 swir16 swir161 swir1610 shortwaveinfrared1',
    'B12': 'swir3 swir22 swir219 swir220 swir2190 shortwaveinfrared3',
    'B08 B8A': 'nir nearinfrared',
    'B11 B12': 'swir2 shortwaveinfrared2',
    'B05 B06 B07 B8A': 'rededge vegetationrededge',
    'B10 B11 B12': 'swir shortwaveinfrared',
}
_MEANINGS = {
    name: frozenset(bands.split())
    for bands, names in _SPECTRUM.items()
    for name in names.split()
}

#: Words of the longest of these names: short, wave, infrared and 1.
_MOST_WORDS = 4

#: Wavelengths of the bands in nanometres, of Sentinel-2A to C and as people round them.
_WAVELENGTHS = {
    'B01': (433, 453),
    'B02': (480, 505),
    'B03': (545, 575),
    'B04': (650, 680),
    'B05': (695, 712),
    'B06': (732, 748),
    'B07': (770, 795),
    'B08': (825, 850),
    'B8A': (855, 875),
    'B09': (930, 955),
    'B10': (1360, 1390),
    'B11': (1590, 1630),
    'B12': (2160, 2225),
}
_WAVELENGTH = re.compile(
    r'(\d+(?:\.\d+)?) ?(?:(nm|nanomet\w+)|(um|\N{MICRO SIGN}m|\N{GREEK SMALL LETTER MU}m'
    r'|micromet\w+))(?![a-z])',
    re.IGNORECASE,
)

#: Words that say that a raster lies beside bands, or is derived from them.
_BESIDE_BANDS = {
    'classes': 'classes classi classification fmask cfmask label labels scl',
    'masks': 'clm cloudmask datamask ddv defect detfoo footprint layover lsm mask masks '
    'msk nodata qa qa10 qa20 qa60 qualit quality s2cloudless satura saturated '
    'saturation shadow techqua',
    'probabilities': 'cldprb clp confidence prb probability snwprb',
    'atmosphere': 'aot thickness wvp',
    'angles': 'angle angles azimuth dem elevation incidence irradiance lia saa slope sza '
    'vaa vza zenith',
    'derived': 'count ndvi ndwi ratio std stddev stdev variance',
    'pictures': 'browse overview preview pvi quicklook tci thumbnail truecolor '
    'truecolour visual',
}
_NO_BAND = {word for words in _BESIDE_BANDS.values() for word in words.split()}

#: Names of other sensors, whose band 5 is another one.
_OTHER_SENSOR = re.compile(
    r'^s[rt]_b\d+$|(?<![a-z0-9])(?:l[cetm]0?[4-9]_?l\w*|hls[._]l30|landsat\w*|modis'
    r'|planetscope)(?![a-z0-9])',
    re.IGNORECASE,
)

#: "Band 1", "Band 2", ...: a position as often as a name.
_NUMBERED = re.compile(r'(band|b)[ _-]?0*(\d+)', re.IGNORECASE)

#: Names of the spectrum of which there is one band, and those with a number behind them.
_PLAIN = ('blue', 'green', 'red')
_COUNTED_NAME = re.compile(r'(?:.*[^a-z0-9])?([a-z]+)([ _.-]?\d+)', re.IGNORECASE)

#: What the names of Sentinel-2 files say after the band.
_GSD = re.compile(r'[_-](10|20|60)m(?![a-z0-9])', re.IGNORECASE)

_WORD = re.compile(r'[a-z0-9]+', re.IGNORECASE)

#: The last band to have the same number and position: B8A is the ninth.
_LAST_IN_STEP = 8


class _Claim(NamedTuple):
    """The bands that a part of a text can mean."""

    bands: frozenset[str]
    start: int
    stop: int
    is_code: bool = False
    is_joined: bool = True


def is_no_band(text: str) -> bool:
    """Tell whether a name says that a raster holds no band, but a mask or a picture.

    Args:
        text: A description or the name of a file.

    Returns:
        True for names such as ``'MSK_DETFOO_B04'``, ``'T32TNS_20240101_TCI_10m'`` or
        ``'view_zenith_B4'``.
    """
    return any(word[0].lower() in _NO_BAND for word in _WORD.finditer(text))


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
    return judge_names([text], sensor)[0]


def name_bands(descriptions: Sequence[str | None], sensor: Sensor) -> list[str | None]:
    """Recognise the bands of a file by their descriptions, together.

    Args:
        descriptions: Description of each band.
        sensor: Sensor of the file.

    Returns:
        Name of each band, None where the description names none. If descriptions only
        count the bands, all are None.

    Examples:
        >>> name_bands(['RED', 'BROADNIR', 'NIR', 'SWIR2'], 's2')
        ['B04', 'B08', 'B8A', 'B12']
        >>> name_bands(['nbart_nir_1', 'nbart_swir_2', 'oa_fmask'], 's2')
        ['B08', 'B11', None]
    """
    if _only_counted(descriptions):
        return [None] * len(descriptions)
    return judge_names([text or '' for text in descriptions], sensor)


def name_stack(
    descriptions: Sequence[str | None], sensor: Sensor
) -> list[str | None] | None:
    """Name the bands of a file, unless they count by their position.

    Args:
        descriptions: Description of each band.
        sensor: Sensor of the file.

    Returns:
        Name of each band, None for another one; None if descriptions say nothing.
    """
    texts = [text for text in descriptions if text]
    if not texts:
        return None
    names = name_bands(descriptions, sensor)
    return names if any(names) or any(map(is_no_band, texts)) else None


@lru_cache(maxsize=256)
def locate_bands(
    sensor: Sensor, indexes: tuple[int, ...], descriptions: tuple[str | None, ...]
) -> tuple[int, ...] | None:
    """Find bands of a sensor by the descriptions of a file.

    Args:
        sensor: The sensor.
        indexes: Their usual positions, counted from 1.
        descriptions: Description of each band of the file.

    Returns:
        Their positions in the file; None if descriptions say nothing.

    Raises:
        LookupError: If one is not there, or twice; the message says what was expected
            and what is there.

    Examples:
        >>> locate_bands('s1', (1, 2), ('VH', 'VV', 'angle'))
        (2, 1)
    """
    names = name_stack(descriptions, sensor)
    if names is None:
        return None
    wanted = [BAND_SETS[sensor][index - 1] for index in indexes]
    if any(names.count(name) != 1 for name in wanted):
        raise LookupError(
            f'the bands {", ".join(wanted)} once, as the bands are described, got '
            f'{", ".join(text or "no name" for text in descriptions)}'
        )
    return tuple(names.index(name) + 1 for name in wanted)


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
    return split_file_names([stem], sensor)[0]


def split_file_names(
    stems: Sequence[str], sensor: Sensor
) -> list[tuple[str | None, str]]:
    """Split the names of files of one folder, together.

    Args:
        stems: Names of the files, without their extensions.
        sensor: Sensor of the files.

    Returns:
        Of each file what :func:`split_file_name` returns.

    Examples:
        >>> split_file_names(['b2_blue', 'b2_swir_1', 'b2_swir_2'], 's2')
        [('B02', 'b2'), ('B11', 'b2'), ('B12', 'b2')]
    """
    names = [_GSD.sub('', stem) if sensor == 's2' else stem for stem in stems]
    options = [
        _list_options(name, claims, len(names) > 1)
        for name, claims in zip(names, _find(names, sensor), strict=True)
    ]
    chosen = _choose(names, options)
    scenes: dict[str, list[int]] = {}
    for i, (name, own) in enumerate(zip(names, chosen, strict=True)):
        if own:
            scenes.setdefault(_tidy(_cut(name, own)), []).append(i)
    found: list[tuple[str | None, str]] = [(None, stem) for stem in stems]
    for scene, members in scenes.items():
        texts, claims = [names[i] for i in members], [chosen[i] for i in members]
        bands = _resolve(texts, claims, sensor)
        for i, band in zip(members, bands, strict=True):
            if band:
                found[i] = band, scene
    return found


def judge_names(texts: Sequence[str], sensor: Sensor) -> list[str | None]:
    """Recognise the bands that texts name, together, also where they only count.

    Args:
        texts: A text for each band.
        sensor: Sensor of the bands.

    Returns:
        Name of each band, None where the text names none.
    """
    return _resolve(texts, _find(texts, sensor), sensor)


def _find(texts: Sequence[str], sensor: Sensor) -> list[list[_Claim]]:
    """Find what each text can mean, without what all of them have in common."""
    number = _common_number(texts)
    found = [
        []
        if is_no_band(text) or _OTHER_SENSOR.search(text)
        else [*_claims(text.removesuffix(number), sensor)]
        for text in texts
    ]
    parts = [
        [text[c.start : c.stop].lower() for c in own]
        for text, own in zip(texts, found, strict=True)
    ]
    named = [{*own} for own in parts if own]
    common = set.intersection(*named) if len(named) > 1 else set()
    if not all(own - common for own in named):
        return found
    return [
        [claim for claim, part in zip(own, words, strict=True) if part not in common]
        for own, words in zip(found, parts, strict=True)
    ]


def _common_number(texts: Sequence[str]) -> str:
    """Find the number at the end of all texts, if it counts no bands: red_2, nir_2."""
    matches = [_COUNTED_NAME.fullmatch(text) for text in texts]
    ends = {match and match[2] for match in matches}
    is_plain = any(match and match[1].lower() in _PLAIN for match in matches)
    return (ends.pop() or '') if len(texts) > 1 == len(ends) and is_plain else ''


def _claims(text: str, sensor: Sensor) -> Iterator[_Claim]:
    for match in _CODES[sensor].finditer(text):
        yield _Claim(frozenset([_normalise(match[1])]), *match.span(), is_code=True)
    if sensor == 's1':
        return
    for match in _WAVELENGTH.finditer(text):
        length = float(match[1]) * (1 if match[2] else 1000)
        bands = [b for b, (low, high) in _WAVELENGTHS.items() if low <= length <= high]
        if bands:
            yield _Claim(frozenset(bands), *match.span())
    yield from _spectral_claims([*_WORD.finditer(text)])


def _spectral_claims(words: Sequence[re.Match[str]]) -> Iterator[_Claim]:
    """Find names of the spectrum, of the most words first."""
    start = 0
    while start < len(words):
        for count in range(min(_MOST_WORDS, len(words) - start), 0, -1):
            part = words[start : start + count]
            bands = _MEANINGS.get(''.join(word[0].lower() for word in part))
            if bands:
                yield _Claim(bands, part[0].start(), part[-1].end(), False, count == 1)
                break
        else:
            count = 1
        start += count


def _resolve(
    texts: Sequence[str], found: Sequence[Sequence[_Claim]], sensor: Sensor
) -> list[str | None]:
    """Choose the band of each text by all of them."""
    counts = all(
        {*c.bands} == {_nth(i)} for i, own in enumerate(found) for c in own if c.is_code
    )
    sets = [_intersect(own, counts and len(texts) > 1) for own in found]
    sure = {band for bands in sets if len(bands) == 1 for band in bands}
    is_dea = any('nbart' in text.lower() for text in texts)
    named: list[str | None] = []
    for bands, own in zip(sets, found, strict=True):
        left = bands - sure if len(bands) == 2 else bands
        if len(left) == 1:
            named.append(next(iter(left)))
        elif left == {'B08', 'B8A'}:
            named.append('B08')
        elif left == {'B11', 'B12'} and own[0].is_joined:
            named.append('B11' if is_dea else 'B12')
        elif left == {'B11', 'B12'} and is_dea:
            named.append('B11')
        else:
            named.append(None)
    return named


def _nth(index: int) -> str:
    return f'B{index + 1:02}'


def _intersect(claims: Sequence[_Claim], only_counted: bool) -> frozenset[str]:
    """Find the bands that all parts of a text can mean.

    A code that is the position of the band gives way to a colour or a wavelength.
    """
    if not claims:
        return frozenset()
    common = frozenset.intersection(*(claim.bands for claim in claims))
    others = [claim.bands for claim in claims if not claim.is_code]
    if common or not only_counted or not others:
        return common
    return frozenset.intersection(*others)


def _list_options(
    name: str, claims: Sequence[_Claim], is_one_of_several: bool
) -> list[list[_Claim]]:
    """List the parts of a file's name that can be its band: codes, colours, or both.

    The name of a single file is that of a place as often, as of the Red Sea: a colour
    counts at its end alone.
    """
    own = [c for c in claims if c.is_code or is_one_of_several or c.stop == len(name)]
    both = [own] if len(own) > 1 and _intersect(own, False) else []
    return [*both, *([claim] for claim in own)]


def _choose(
    names: Sequence[str], options: Sequence[Sequence[list[_Claim]]]
) -> list[list[_Claim]]:
    """Choose the part of each name in which it differs from others of its scene."""
    rests = {
        (_intersect(option, False), _cut(name, option))
        for name, own in zip(names, options, strict=True)
        for option in own
    }
    sizes = Counter(rest for _, rest in rests)
    return [
        _choose_one(name, own, [sizes[_cut(name, option)] for option in own])
        for name, own in zip(names, options, strict=True)
    ]


def _choose_one(
    name: str, options: Sequence[list[_Claim]], sizes: Sequence[int]
) -> list[_Claim]:
    if max(sizes, default=0) > 1:
        best = [o for o, size in zip(options, sizes, strict=True) if size == max(sizes)]
        padded = [o for o in best if name[o[0].start + 1 : o[0].start + 2] == '0']
        return (padded or best)[-1]
    codes = [option for option in options if all(claim.is_code for claim in option)]
    bands = {_intersect(option, False) for option in codes or options}
    return (codes or options)[-1] if len(bands) == 1 else []


def _cut(name: str, claims: Sequence[_Claim]) -> str:
    for claim in sorted(claims, key=lambda claim: -claim.start):
        name = name[: claim.start] + name[claim.stop :]
    return name


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

"""The one check of values: undeclared fill, units, offsets, bands in another unit.

:func:`check_values` takes samples of the stored numbers, wherever they come from
(patches, packs, scenes), and judges each band by the bulk of them. What is impossible
and repeated is fill; :func:`find_fills` finds it, so that readers can take it for no
data.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..bands import BANDS, VALUE_RANGE, Sensor
from ..classes import IGNORE_INDEX, ClassScheme, LegendName

#: What a check does with what it finds: errors stop, or all is told alone, or no check.
CheckMode = Literal['error', 'warn', 'off']

#: Numbers without data that nothing declares, the most frequent first, by sensor.
type Fills = Mapping[Sensor, tuple[float, ...]]

#: What is added to the numbers of Sentinel-2 since processing baseline 04.00; how much
#: less the darkest pixels have then at least, and the most that bright ground has.
_ADDED, _LESS, _BRIGHTEST = 1000, 100, 8000

#: The darkest pixels of most images have less than this and what is added; of fewer
#: pixels than the second, all may be brighter.
_DARK, _FEW = 600, 1000

#: Medians of Sentinel-1 in decibels lie between these. Linear power and amplitude have
#: lower ones than the last.
_DECIBELS, _UNCALIBRATED = (-40, -1), 5

#: Linear power is not below this, also where noise was subtracted.
_NO_POWER = -1

#: Largest number of a picture, and of a reflectance that is not multiplied.
_PICTURE, _REFLECTANCE = 255, 2

#: Decibels by which VH is brighter than VV where they are in the other order.
_BRIGHTER = 1

#: Bands that air darkens by itself; no others are this much darker, or brighter, than
#: both of the bands beside them in the spectrum, where those are not dark.
_ABSORBED, _RATIO, _NOT_DARK = ('B09', 'B10'), 8, 200

#: The same where no number is above that of a picture; and what a picture reaches.
_FEWER, _FULL = 4, 240

#: Stored numbers that no pixel has: up to the first, and from the second.
_IMPOSSIBLE: Mapping[Sensor, tuple[float, float]] = {
    's1': (-80.0, 60.0),
    's2': (-1000.0, 30_000.0),
}

#: Backscatter as linear power that no pixel has.
_STRONGEST = 1e5

#: What Sentinel-2 and integer types hold where a pixel is too bright.
_SATURATED = (32767.0, 65535.0)

#: Fill is at least this many pixels and this fraction of them, the second where it may
#: be saturation; and hardly any number is as close to it as a twentieth.
_REPEATED, _SPREAD, _ALONE, _CLOSE = 10, (1e-4, 0.02), 0.8, 0.05

#: Fraction of pixels from which NaN that is not declared is told of: SEN12MS has some.
_GAPS = 0.05

#: Blends of fill with data, along its edges, are at most this much of the fill.
_BLENDED = 0.2

#: Fractions of values from which a warning is due.
_MOST, _MANY, _SOME = 0.99, 0.25, 0.01

#: Fraction of values that are left out at each end, as outliers.
_OUTLIERS = 0.005


@dataclass(frozen=True)
class SensorSample:
    """Some pixels of one sensor's bands, as they are stored.

    Attributes:
        bands: Names of the bands, in channel order.
        values: Numbers of shape ``(bands, N)``, float; NaN where the file declares no
            data or does not reach.
        offsets: What is added to the numbers of each band; none if it is empty.
        factor: What they are multiplied with then.
        power: Whether they are said to be linear power.
        has_metadata: Whether the metadata of a product say what the numbers mean.
        undeclared: Fraction of the pixels that hold a NaN which is not declared.
    """

    bands: tuple[str, ...]
    values: np.ndarray
    offsets: tuple[float, ...] = ()
    factor: float = 1.0
    power: bool = False
    has_metadata: bool = False
    undeclared: float = 0.0

    @property
    def sensor(self) -> Sensor:
        """The sensor of the bands."""
        return BANDS[self.bands[0]].sensor

    @property
    def title(self) -> str:
        """Name of the sensor, for people."""
        return f'Sentinel-{self.sensor[1]}'

    @cached_property
    def valid(self) -> np.ndarray:
        """Which pixels have data, of shape ``(N,)``: finite, and not all 0."""
        return np.isfinite(self.values).all(axis=0) & self.values.any(axis=0)

    @cached_property
    def stored(self) -> dict[str, np.ndarray]:
        """The finite numbers of each band where not all bands are 0, by name."""
        known = np.isfinite(self.values)
        some = (known & (self.values != 0)).any(axis=0)
        return {
            name: v[k & some]
            for name, v, k in zip(self.bands, self.values, known, strict=True)
        }

    @cached_property
    def decoded(self) -> dict[str, np.ndarray]:
        """The same in reflectance x 10 000, or in the unit that they are said to be."""
        offsets = self.offsets or (0.0,) * len(self.bands)
        return {
            name: np.where(v == 0, 0, (v + offset) * self.factor)
            for (name, v), offset in zip(self.stored.items(), offsets, strict=True)
        }

    def without(self, fills: Sequence[float]) -> 'SensorSample':
        """Take numbers for no data.

        Args:
            fills: The numbers.

        Returns:
            The sample with NaN in their place.
        """
        if not fills:
            return self
        values = np.where(np.isin(self.values, fills), np.nan, self.values)
        return replace(self, values=values)


@dataclass(frozen=True)
class SetSample:
    """Some pixels of a set of images, perhaps with labels.

    Attributes:
        sensors: The stored numbers of each sensor.
        codes: How many pixels of the labels have each code.
        legend: The legend that the codes are expected to follow, if there are any.
        size: How much of the set it is, for people.
    """

    sensors: tuple[SensorSample, ...]
    codes: Mapping[float, int]
    legend: LegendName | None
    size: str


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        level: ``'error'`` if no result can be right, else ``'warning'``.
        bands: Names of the bands.
        message: What was found: the number, its share.
        cause: The likely cause, and what to do.
    """

    level: Literal['error', 'warning']
    bands: tuple[str, ...]
    message: str
    cause: str

    def __str__(self) -> str:
        """Say both in one line."""
        return f'{self.message} {self.cause}'

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values.

        Returns:
            Its attributes by name.
        """
        return asdict(self) | {'bands': list(self.bands)}


@dataclass(frozen=True)
class Flags:
    """The flags by which a user can say what numbers mean; empty where there is none.

    Attributes:
        s2_offset: Flag of what is added to Sentinel-2.
        s1_power: Flag of linear power.
        s1_bands: Flag of the order of the bands of Sentinel-1.
        s2_bands: The same of Sentinel-2.
        legend: Flag of the legend of labels.
    """

    s2_offset: str = ''
    s1_power: str = ''
    s1_bands: str = ''
    s2_bands: str = ''
    legend: str = ''


@dataclass
class Checked:
    """The result of a check.

    Attributes:
        findings: What was found.
        fills: Undeclared numbers without data, by sensor.
        classes: Share of each class in the labels, and of what is ignored.
    """

    findings: list[Finding] = field(default_factory=list)
    fills: dict[Sensor, tuple[float, ...]] = field(default_factory=dict)
    classes: dict[str, float] = field(default_factory=dict)


def check_values(
    samples: Sequence[SensorSample], flags: Flags | None = None, is_taken: bool = True
) -> Checked:
    """Check samples of the values of a set.

    Args:
        samples: A sample of each sensor.
        flags: The flags to name; by default there are none.
        is_taken: Whether undeclared fill will be taken for no data.

    Returns:
        What was found, and the fill.

    Examples:
        >>> bright = np.full((2, 90), -9.0) + np.arange(90) / 30
        >>> bright[:, :30] = -9999
        >>> checked = check_values([SensorSample(('VV', 'VH'), bright)])
        >>> checked.fills
        {'s1': (-9999.0,)}
        >>> print(checked.findings[0].message)
        33% of VV, VH are -9999, which nothing declares as no data; taken for no data.
        >>> power = SensorSample(('VV', 'VH'), 10 ** (bright[:, 30:] / 10))
        >>> [finding.level for finding in check_values([power]).findings]
        ['error']
    """
    checked = check_fills(samples, is_taken)
    blanked = [s.without(checked.fills.get(s.sensor, ())) for s in samples]
    checked.findings += check_units(blanked, flags)
    return checked


def check_set(
    sample: SetSample,
    scheme: ClassScheme,
    flags: Flags | None = None,
    is_taken: bool = True,
) -> Checked:
    """Check a sample of a set: its values, and the codes of its labels.

    Args:
        sample: The sample.
        scheme: The class scheme that labels are encoded with.
        flags: The flags to name; by default there are none.
        is_taken: Whether undeclared fill will be taken for no data.

    Returns:
        What was found, the fill, and the share of each class.
    """
    checked = check_values(sample.sensors, flags, is_taken)
    if sample.legend is None or not sample.codes:
        return checked
    flags = flags or Flags()
    shares: dict[str, float] = {}
    foreign: dict[float, float] = {}
    total = sum(sample.codes.values())
    for code, count in sorted(sample.codes.items()):
        try:
            # Fractions are no codes; encode says so.
            whole = int(code) if float(code).is_integer() else code
            [index] = scheme.encode(np.array([whole]), sample.legend)
        except ValueError:
            foreign[code] = count / total
            continue
        name = 'ignored' if index == IGNORE_INDEX else scheme.labels[index]
        shares[name] = shares.get(name, 0) + count / total
    order = sorted(shares, key=lambda name: (name == 'ignored', -shares[name]))
    checked.classes = {name: shares[name] for name in order}
    if foreign:
        codes = ', '.join(f'{code:g}' for code in [*foreign][:10])
        other = (
            f'Name another legend with {flags.legend}'
            if flags.legend
            else 'Take a set whose labels have it (--data.train, --data.val, --data.test)'
        )
        message = (
            f'Expected labels of the legend {sample.legend}, got the codes {codes}, '
            f'{_percent(sum(foreign.values()))} of the pixels, which it does not have.'
        )
        cause = f'They follow another legend. {other}, or recode them.'
        checked.findings.insert(0, Finding('error', (), message, cause))
    elif order in ([], ['ignored']):
        message = 'No pixel of the labels has a class of the scheme.'
        cause = f'They are empty, or have another legend than {sample.legend}.'
        checked.findings.append(Finding('warning', (), message, cause))
    return checked


def _percent(share: float) -> str:
    return f'{share:.2%}' if share < _SOME else f'{share:.0%}'


def check_fills(samples: Sequence[SensorSample], is_taken: bool = True) -> Checked:
    """Look for fill alone, which nothing declares.

    Args:
        samples: A sample of each sensor.
        is_taken: Whether it will be taken for no data.

    Returns:
        What was found, and the fill.
    """
    checked = Checked()
    for sample in samples:
        fills = find_fills(sample)
        checked.findings += _describe_fills(sample, fills, is_taken)
        if fills:
            checked.fills[sample.sensor] = tuple(fills)
    return checked


def check_units(
    samples: Sequence[SensorSample], flags: Flags | None = None
) -> list[Finding]:
    """Judge the values of what is no fill.

    Args:
        samples: A sample of each sensor.
        flags: The flags to name; by default there are none.

    Returns:
        What was found.
    """
    flags = flags or Flags()
    findings: list[Finding] = []
    for sample in samples:
        check = _check_s1 if sample.sensor == 's1' else _check_s2
        found = [*check(sample, flags), *_check_constant(sample)]
        if all(finding.level != 'error' for finding in found):
            found += _check_clipped(sample)
        findings += found
    return findings


def find_fills(sample: SensorSample) -> dict[float, dict[str, float]]:
    """Find the numbers that are no data though nothing declares them.

    They are impossible and repeated, and nothing is close to them. What a sensor holds
    where it is saturated is fill only in many pixels, and never in a product whose
    metadata say what it is.

    Args:
        sample: A sample of one sensor.

    Returns:
        Of each number, the most frequent first, its share of each band that has it.
    """
    found: dict[float, dict[str, float]] = {}
    num_pixels = sample.values.shape[1]
    low, high = _IMPOSSIBLE[sample.sensor]
    if sample.sensor == 's1' and sample.power:
        high = _STRONGEST
    for name, values in zip(sample.bands, sample.values, strict=True):
        odd = values[(values <= low) | (values >= high)]
        numbers, counts = np.unique(odd, return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            may_be_bright = sample.sensor == 's2' and number in _SATURATED
            if may_be_bright and sample.has_metadata:
                continue
            if count < max(_REPEATED, _SPREAD[may_be_bright] * num_pixels):
                continue
            if np.isfinite(number):
                close = np.abs(odd - number) <= _CLOSE * abs(number)
                if count < _ALONE * close.sum():
                    continue
            found.setdefault(number, {})[name] = count / num_pixels
    for number, share in _find_flat(sample):
        found.setdefault(number, dict.fromkeys(sample.bands, share))
    ordered = sorted(found, key=lambda number: -max(found[number].values()))
    return {
        number: found[number]
        for position, number in enumerate(ordered)
        if not any(_is_blend(number, more, found) for more in ordered[:position])
    }


def _is_blend(
    number: float, fill: float, shares: Mapping[float, Mapping[str, float]]
) -> bool:
    """Tell whether a number is what resampling made of fill and data along an edge."""
    is_between = number * fill > 0 and abs(number) < abs(fill)
    few = _BLENDED * max(shares[fill].values())
    return is_between and max(shares[number].values()) < few


def _find_flat(sample: SensorSample) -> Iterator[tuple[float, float]]:
    """Find negative reflectances that all bands have in the same pixels."""
    values = sample.values
    if sample.sensor != 's2' or len(values) < 3:
        return
    flat = values[0][(values == values[0]).all(axis=0) & (values[0] < 0)]
    for number, count in zip(*np.unique(flat, return_counts=True), strict=True):
        if count >= max(_REPEATED, _SOME * values.shape[1]):
            yield float(number), count / values.shape[1]


def _describe_fills(
    sample: SensorSample, fills: Mapping[float, Mapping[str, float]], is_taken: bool
) -> Iterator[Finding]:
    for number, shares in fills.items():
        text = f'{number:.7g}'
        done = 'taken for no data' if is_taken else 'it gets classes like all else'
        share = _percent(max(shares.values()))
        yield Finding(
            'warning',
            tuple(shares),
            f'{share} of {", ".join(shares)} are {text}, which nothing declares as no '
            f'data; {done}.',
            'It cannot be measured and is repeated: most likely fill. Declare it, with '
            f'gdal_edit.py -a_nodata {text} FILE.',
        )
    if sample.undeclared > _GAPS:
        yield Finding(
            'warning',
            sample.bands,
            f'{sample.undeclared:.0%} of {sample.title} are NaN, which nothing declares '
            'as no data; taken for no data.',
            'Most likely fill, or what was calculated of it. Declare it, with '
            'gdal_edit.py -a_nodata nan FILE.',
        )


def _check_s1(sample: SensorSample, flags: Flags) -> Iterator[Finding]:
    bulk = {n: v[v != 0] for n, v in sample.stored.items() if v.any()}
    medians = {name: float(np.median(v)) for name, v in bulk.items()}
    wrong = {
        name: m
        for name, m in medians.items()
        if (m < 0 if sample.power else m > 0 and not _has_decibels(bulk[name]))
    }
    if wrong and sample.power:
        name = min(wrong, key=lambda name: wrong[name])
        yield Finding(
            'error',
            tuple(wrong),
            f'Expected Sentinel-1 in linear power, got decibels: half of the values of '
            f'{name} are below {wrong[name]:g}.',
            f'Leave out {flags.s1_power}.',
        )
    elif wrong:
        yield _refuse_power(bulk, wrong, flags)
    if wrong:
        return
    if sample.power:
        medians = {n: 10 * float(np.log10(m)) for n, m in medians.items()}
    low, high = _DECIBELS
    for name, median in medians.items():
        if not low <= median <= high:
            yield Finding(
                'warning',
                (name,),
                f'Half of {name} is below {median:g}, where sigma nought has {low} to '
                f'{high} dB.',
                'Another unit, or not calibrated. '
                f'{_convert_power(flags, "Linear power is converted")}',
            )
    if len(medians) > 1 and medians['VH'] > medians['VV'] + _BRIGHTER:
        advice = f'Give {flags.s1_bands}.' if flags.s1_bands else 'Write VV first.'
        yield Finding(
            'warning',
            ('VV', 'VH'),
            f'VH ({medians["VH"]:g} dB) is brighter than VV ({medians["VV"]:g} dB), '
            'which no land or water is:',
            f'the bands are probably in the other order. {advice}',
        )


def _has_decibels(values: np.ndarray) -> bool:
    """Tell whether some are as low as no power is, though most are as high, as in towns."""
    return bool(np.mean(values < _NO_POWER) > _SOME)


def _refuse_power(
    bulk: Mapping[str, np.ndarray], medians: Mapping[str, float], flags: Flags
) -> Finding:
    name = max(medians, key=lambda name: medians[name])
    low, high = np.quantile(bulk[name], [_OUTLIERS, 1 - _OUTLIERS])
    kind = 'linear power'
    advice = _convert_power(flags, 'Convert it')
    if medians[name] > _UNCALIBRATED:
        kind = 'digital numbers'
        advice = (
            'Numbers this large are not calibrated: make sigma nought of them first.'
        )
        if bulk[name].max() <= _PICTURE:
            kind = 'a picture of 8 bits'
            advice = f'Take the product in decibels instead. {advice}'
    negative = np.mean(bulk[name] < 0)
    few = f'{negative:.2%} of {name} are' if negative else f'no value of {name} is'
    return Finding(
        'error',
        tuple(medians),
        f'Expected Sentinel-1 in decibels, got {kind}: {few} below 0, most are {low:g} '
        f'to {high:g}.',
        advice,
    )


def _convert_power(flags: Flags, start: str) -> str:
    if flags.s1_power:
        return f'{start} with {flags.s1_power} true.'
    return f'{start} to decibels first, 10 x log10.'


def _check_s2(sample: SensorSample, flags: Flags) -> Iterator[Finding]:
    values = {n: v for n, v in sample.decoded.items() if v.size and v.any()}
    if not values:
        return
    small = {n: unit for n, v in values.items() if (unit := _find_unit(n, v, values))}
    units = {unit for name, unit in small.items() if name not in _ABSORBED}
    if len(units) == 1 and {*values} - {*small} <= {*_ABSORBED}:
        small = dict.fromkeys(values, units.pop())
    offset = min(sample.offsets, default=0)
    if small:
        yield from _describe_units(sample, small, values)
        values = {n: v for n, v in values.items() if n not in small}
    elif offset == 0 and not sample.has_metadata:
        yield from _check_added(values, flags)
    below = {name: float(np.mean(v < -_LESS)) for name, v in values.items()}
    name = max(below, key=lambda name: below[name], default='')
    if name and below[name] > _MANY:
        cause = (
            f'An offset of {offset:g} was added that these numbers do not have.'
            f'{f" Give {flags.s2_offset} 0." if flags.s2_offset else ""}'
            if offset
            else 'No surface reflects less than nothing: an offset was taken off twice, '
            'or this is another unit.'
        )
        message = f'{below[name]:.0%} of {name} are below -{_LESS}.'
        yield Finding('warning', (name,), message, cause)
    else:
        yield from _check_steps(values)


def _find_unit(
    name: str, values: np.ndarray, others: Mapping[str, np.ndarray]
) -> Literal['', '0 to 1', 'percent', '8 bits']:
    """Name the unit of a band that is not reflectance x 10 000."""
    low, high = np.quantile(values, [_OUTLIERS, 1 - _OUTLIERS])
    if low < -_LESS or high > _PICTURE or values.min() == values.max():
        return ''
    are_all = all(
        np.quantile(v, 1 - _OUTLIERS) <= _PICTURE or n in _ABSORBED
        for n, v in others.items()
    )
    has_fractions = bool((values != np.round(values)).any())
    if high <= _REFLECTANCE and has_fractions:
        return '0 to 1'
    # Bands that air darkens are as dark as that by nature, and others are over water.
    is_full = values.max() >= _FULL and name not in _ABSORBED
    if not are_all and not is_full and _stand_out(name, others, _FEWER) >= 0:
        return ''
    if high <= _REFLECTANCE and name not in _ABSORBED:
        return '0 to 1'
    return 'percent' if has_fractions and high <= 120 else '8 bits'


def _stand_out(
    name: str, values: Mapping[str, np.ndarray], ratio: float = _RATIO
) -> int:
    """Tell whether a band is brighter (1) or darker (-1) than both beside it."""
    names = [n for n in values if n not in _ABSORBED]
    if name not in names or len(names) < 3:
        return 0
    at = names.index(name)
    first = min(max(at - 1, 0), len(names) - 3)
    beside = [n for n in names[first : first + 3] if n != name]
    own, *levels = (float(np.median(values[n])) for n in (name, *beside))
    # Reflectance of water falls towards the last bands.
    ratio = _RATIO if at == len(names) - 1 else ratio
    if min(levels) >= max(ratio * own, _NOT_DARK):
        return -1
    return int(own >= max(ratio * max(levels), _NOT_DARK))


def _describe_units(
    sample: SensorSample, small: Mapping[str, str], values: Mapping[str, np.ndarray]
) -> Iterator[Finding]:
    for unit in dict.fromkeys(small.values()):
        names = tuple(name for name, own in small.items() if own == unit)
        highest = max(float(values[n].max()) for n in names)
        if len({*small}) == len(values) and len({*small.values()}) == 1:
            what, cause = sample.title, ''
        else:
            what, cause = ', '.join(names), 'among bands of another unit '
        if unit == '8 bits':
            yield Finding(
                'warning',
                names,
                f'{what} is at most {highest:g} {cause}'.rstrip() + ': a picture of 8 '
                'bits, not reflectance x 10 000.',
                'Take the bands of the product.',
            )
            continue
        scale, kind = (
            ('1', 'from 0 to 1') if unit == '0 to 1' else ('100', 'in percent')
        )
        yield Finding(
            'warning',
            names,
            f'{what} is at most {highest:g} {cause}'.rstrip()
            + f': reflectance {kind}, '
            'where networks are trained on reflectance x 10 000.',
            'Multiply it, for example with gdal_translate -ot Float32 -scale 0 '
            f'{scale} 0 10000.',
        )


def _check_added(values: Mapping[str, np.ndarray], flags: Flags) -> Iterator[Finding]:
    lows = {name: float(np.quantile(v, _OUTLIERS)) for name, v in values.items()}
    name = min(lows, key=lambda name: lows[name])
    is_few = values[name].size < _FEW
    highest = _ADDED + _DARK if is_few else _BRIGHTEST
    if not _ADDED - _LESS <= lows[name] < highest:
        return
    how = (
        f'give {flags.s2_offset} -{_ADDED}'
        if flags.s2_offset
        else f'take {_ADDED} off, where the number is not 0'
    )
    unless = 'clouds or haze everywhere'
    if lows[name] >= _ADDED + _DARK:
        unless = 'bright ground, snow, clouds or haze everywhere'
    yield Finding(
        'warning',
        (name,),
        f'The darkest pixels of Sentinel-2 are {lows[name]:g}, in {name}:',
        f'since processing baseline 04.00, {_ADDED} is added to the numbers. If that is '
        f'so here and not {unless}, {how}.',
    )


def _check_steps(values: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """Look for bands far from those beside them in the spectrum."""
    for name in values:
        if side := _stand_out(name, values):
            median = float(np.median(values[name]))
            yield Finding(
                'warning',
                (name,),
                f'Half of {name} is below {median:g}, more than {_RATIO} times '
                f'{"brighter" if side > 0 else "darker"} than the bands beside it.',
                'Most likely it is in another unit than they are, or no band of '
                'reflectance.',
            )


def _check_constant(sample: SensorSample) -> Iterator[Finding]:
    values = {name: v for name, v in sample.stored.items() if v.size}
    constant = tuple(name for name, v in values.items() if v.min() == v.max())
    if constant and len(constant) < len(values):
        yield Finding(
            'warning',
            constant,
            f'{", ".join(constant)} have the same value everywhere:',
            'filled in, not measured, as B10 often is in Level-2A. Take a model that '
            'does not read them.',
        )


def _check_clipped(sample: SensorSample) -> Iterator[Finding]:
    low, high = VALUE_RANGE[sample.sensor]
    for name, v in sample.decoded.items():
        if sample.power:
            v = 10 * np.log10(v[v > 0])
        if not v.size or v.min() == v.max():
            continue
        for part, side in ((np.mean(v <= low), low), (np.mean(v >= high), high)):
            if part > _MOST:
                yield Finding(
                    'warning',
                    (name,),
                    f'{part:.0%} of {name} lie beyond {side:g} and all become that:',
                    'another unit, or another scale, than networks are trained on.',
                )

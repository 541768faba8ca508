"""Values are judged by their bulk, wherever they come from."""

import re
from itertools import product

import numpy as np
import pytest

from dfc2020_geo.bands import BAND_SETS, BANDS
from dfc2020_geo.io.value_checks import (
    Checked,
    Finding,
    Flags,
    SensorSample,
    check_values,
    find_fills,
)
from dfc2020_geo.synthetic.spectra import MEASURED

S2 = BAND_SETS['s2']
VISIBLE = ('B02', 'B03', 'B04', 'B08')
FLAGS = Flags('--s2_offset', '--s1_power', '--s1_bands', '--s2_bands')


def reflectance(bands: tuple[str, ...] = S2, num_pixels: int = 4000) -> np.ndarray:
    """Land and water as measured, each with its noise."""
    rng = np.random.default_rng(0)
    spectra = np.stack([*MEASURED.values()])[:, [S2.index(name) for name in bands]]
    image = spectra[rng.integers(len(spectra), size=num_pixels)].T
    image = image * rng.normal(1, 0.15, image.shape).clip(0.2)
    return image.round().clip(1).astype(np.float32)


def decibels(num_pixels: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal([[-9], [-16]], 2, (2, num_pixels)).astype(np.float32)


def power() -> np.ndarray:
    return 10 ** (decibels() / 10)


def check(
    values: np.ndarray, bands: tuple[str, ...] | None = None, **facts: object
) -> Checked:
    bands = bands or (S2 if len(values) == len(S2) else BAND_SETS['s1'])
    return check_values([SensorSample(bands, values, **facts)], FLAGS)


def text_of(values: np.ndarray, *args: object, **facts: object) -> str:
    return '\n'.join(map(str, check(values, *args, **facts).findings))


@pytest.mark.parametrize('bands', [S2, VISIBLE, ('B11',), ('B04', 'B08', 'B12')])
def test_measured_spectra_pass(bands: tuple[str, ...]) -> None:
    for values in (reflectance(bands), reflectance(bands) * 1.4):
        assert check(values, bands).findings == []
    for name, spectrum in MEASURED.items():
        values = spectrum[[S2.index(n) for n in bands], None]
        noise = np.random.default_rng(0).normal(1, 0.1, (len(bands), 500))
        [*texts] = map(str, check(values * noise, bands).findings)
        assert all('darkest pixels' in text for text in texts), name


def test_decibels_of_the_contest_pass() -> None:
    values = decibels()
    values[0, :40] = np.linspace(0, 25.5, 40)
    assert check(values).findings == []


FILLS = (-9999, -32768, 65535, 1e20, 9.969209968386869e36, np.inf, -np.inf, -3.4e38)


@pytest.mark.parametrize(('fill', 'share'), [*product(FILLS, (0.01, 0.35, 0.9))])
def test_undeclared_fill_is_found(fill: float, share: float) -> None:
    if fill == 65535 and share < 0.02:
        pytest.skip('may be saturation')
    for values in (reflectance(VISIBLE), decibels()):
        bands = VISIBLE if len(values) == 4 else ('VV', 'VH')
        count = round(share * values.shape[1])
        values[:, :count] = fill
        checked = check(values, bands)
        [finding] = checked.findings
        [numbers] = checked.fills.values()
        assert numbers == (float(np.float32(fill)),)
        assert f'{share:.0%} of {", ".join(bands)}' in finding.message
        assert 'nothing declares' in finding.message


def test_the_rest_is_judged_without_the_fill() -> None:
    values = power()
    values[:, :100], values[:, 100:130] = -9999, -0.001
    found = check(values)
    assert [finding.level for finding in found.findings] == ['warning', 'error']
    assert 'linear power' in str(found.findings[1])
    s2 = reflectance()
    s2[:, :100] = -9999
    assert 'offset' not in text_of(s2)
    assert 'offset' not in text_of(s2 + np.float32(1000), offsets=(-1000.0,) * 13)


def test_declared_fill_is_nothing_to_say() -> None:
    values = decibels()
    values[:, :900] = np.nan
    assert check(values).findings == []


def test_saturated_pixels_are_bright() -> None:
    values = reflectance(VISIBLE)
    values[:, :60] = 65535
    assert check(values, VISIBLE).fills == {}
    values[:, :900] = 65535
    assert check(values, VISIBLE).fills == {'s2': (65535.0,)}
    sample = SensorSample(VISIBLE, values, has_metadata=True)
    assert find_fills(sample) == {}


def test_large_numbers_that_differ_are_no_fill() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(100, 4000, (2, 5000)).astype(np.float32)
    assert check(numbers).fills == {}
    assert 'not calibrated' in text_of(numbers)
    assert check(decibels().round(1) * 100).fills == {}


def test_all_bands_below_nothing_in_the_same_pixels_are_fill() -> None:
    values = reflectance(VISIBLE)
    values[:, :1000] = -1
    assert check(values, VISIBLE).fills == {'s2': (-1.0,)}
    values = reflectance(VISIBLE)
    values[2, :1000] = -1
    assert check(values, VISIBLE).fills == {}


@pytest.mark.parametrize('name', S2)
def test_one_band_in_another_unit_is_named(name: str) -> None:
    values, number = reflectance(), S2.index(name)
    values[number] /= 10_000
    [finding] = check(values).findings
    assert finding.bands == (name,)
    assert 'reflectance from 0 to 1' in finding.message
    if name in ('B09', 'B10'):  # as dark by nature
        return
    for scale in (3000, 10_000):
        values = reflectance()
        values[number] = (values[number] / scale * 255).clip(0, 255).astype(np.uint8)
        named = {finding.bands for finding in check(values).findings}
        assert named <= {(name,)}
        assert named or values[number].max() < 240


@pytest.mark.parametrize(
    ('factor', 'match'),
    [
        (1e-4, r'^Sentinel-2 is at most 0.*from 0 to 1.*-scale 0 1 0 10000'),
        (1e-2, r'^Sentinel-2 is at most \d.*in percent.*-scale 0 100 0 10000'),
        (0.0255, r'^Sentinel-2 is at most \d+: a picture of 8 bits'),
    ],
)
def test_all_bands_in_another_unit_are_one_finding(factor: float, match: str) -> None:
    values = reflectance() * np.float32(factor)
    values = values.round() if factor == 0.0255 else values
    finding, *others = check(values).findings
    assert finding.level == 'warning'
    assert all('same value everywhere' in other.message for other in others)
    assert re.search(match, str(finding))


@pytest.mark.parametrize('bands', [S2, VISIBLE])
@pytest.mark.parametrize('ground', ['all', 'bright'])
def test_what_baseline_4_added_is_said(bands: tuple[str, ...], ground: str) -> None:
    values = reflectance(bands)
    if ground == 'bright':
        values = values * np.float32(3)
    text = text_of(values + np.float32(1000), bands)
    assert 'give --s2_offset -1000' in text
    assert ('bright ground' in text) == (ground == 'bright' and bands == VISIBLE)
    shifted = SensorSample(bands, values + 1000, offsets=(-1000.0,) * len(bands))
    assert check_values([shifted]).findings == []
    [finding] = check_values([SensorSample(bands, values + 1000)]).findings
    assert 'take 1000 off' in finding.cause


def test_an_offset_that_was_not_there_is_named() -> None:
    text = text_of(reflectance() / 2, offsets=(-1000.0,) * 13)
    assert 'offset of -1000 was added that these numbers do not have' in text
    assert 'Give --s2_offset 0.' in text
    text = text_of(reflectance() - np.float32(2500))
    assert 'taken off twice' in text
    assert 'Give' not in text


@pytest.mark.parametrize(
    ('values', 'facts', 'level', 'match'),
    [
        (power(), {}, 'error', 'linear power: no value .*--s1_power true'),
        (decibels() + 12, {}, 'warning', 'Half of VV is below'),
        (power() - 0.05, {}, 'error', 'linear power: .* are below 0'),
        (power(), {'power': True}, None, ''),
        (decibels(), {'power': True}, 'error', 'decibels: .*Leave out --s1_power'),
        (decibels()[::-1], {}, 'warning', 'brighter than VV .*--s1_bands'),
        (decibels() * 100, {}, 'warning', 'Half of VV is below -9'),
        (decibels() * 4 + 150, {}, 'error', '8 bits'),
    ],
)
def test_units_of_backscatter(
    values: np.ndarray, facts: dict[str, bool], level: str | None, match: str
) -> None:
    findings: list[Finding] = check(values, **facts).findings
    assert (findings[0].level if findings else None) == level
    assert re.search(match, text_of(values, **facts))


def test_one_band_of_backscatter_in_another_unit() -> None:
    values = decibels()
    values[1] = power()[1]
    [finding] = check(values).findings
    assert (finding.level, finding.bands) == ('error', ('VH',))


def test_a_band_without_values_is_filled_in() -> None:
    values = reflectance()
    values[[*BANDS].index('B10')] = 0
    [finding] = check(values).findings
    assert finding.message.startswith('B10 have the same value')


def test_findings_are_plain_values() -> None:
    values = decibels()
    values[:, :400] = -9999
    [finding] = check(values).findings
    told = finding.to_json()
    assert told['bands'] == ['VV', 'VH']
    assert {*told} == {'level', 'bands', 'message', 'cause'}


def test_nothing_at_all_is_no_error() -> None:
    for values in (np.empty((2, 0), np.float32), np.full((2, 9), np.nan, np.float32)):
        assert check(values).findings == []
    assert check(np.zeros((13, 50), np.float32)).findings == []

"""The baseline's arguments and the settings that they are here."""

from typing import Any

import pytest

from dfc2020_geo.bands import select_bands
from dfc2020_geo.baseline.arguments import (
    ARGUMENTS,
    baseline_arguments,
    network_settings,
)
from dfc2020_geo.baseline.pickles import read_arguments
from tests.support import DATA

NETWORK = {
    'use_s1': True,
    'use_s2hr': False,
    'use_s2mr': False,
    'use_s2lr': False,
    'no_savanna': True,
    'model': 'deeplab',
    'out_stride': 8,
}


@pytest.mark.parametrize('name', ['unet', 'deeplab'])
def test_arguments_are_those_of_genuine_pickles_in_their_order(name: str) -> None:
    assert list(ARGUMENTS) == list(read_arguments(DATA / f'args_{name}.pkl'))


@pytest.mark.parametrize(
    ('flag', 'bands'),
    [
        ('use_s1', 'VV VH'),
        ('use_s2hr', 'B02 B03 B04 B08'),
        ('use_s2mr', 'B05 B06 B07 B8A B11 B12'),
        ('use_s2lr', 'B01 B09 B10'),
    ],
)
def test_each_flag_has_its_bands(flag: str, bands: str) -> None:
    settings = network_settings(NETWORK | {'use_s1': False, flag: True})
    names = [band.name for band in select_bands(settings['bands'])]
    assert names == bands.split()
    arguments = baseline_arguments(settings)
    assert [n for n in ARGUMENTS if n.startswith('use_s') and arguments[n]] == [flag]


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'use_s1': False}, 'use_s1, --use_s2hr, --use_s2mr, --use_s2lr, got none'),
        ({'model': 'segnet'}, r"model of \('deeplab', 'unet'\), got 'segnet'"),
        ({'out_stride': 4}, r'out_stride of \(8, 16\), got 4'),
    ],
)
def test_what_the_baseline_lacks_is_named(
    changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        network_settings(NETWORK | changes)


def test_what_decides_the_network_must_be_there() -> None:
    incomplete = {name: v for name, v in NETWORK.items() if name != 'use_s2lr'}
    with pytest.raises(ValueError, match='got none of the name use_s2lr'):
        network_settings(incomplete)


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'bands': ['s1', 'B02', 'B03']}, 'got B02, B03 without the rest'),
        ({'scheme': 'dfc2020-contest'}, "got 'dfc2020-contest'"),
        ({'model': 'unet'}, r"model of \('baseline-deeplabv3\+', .*, got 'unet'"),
    ],
)
def test_a_network_that_the_baseline_cannot_have_is_refused(
    changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        baseline_arguments(network_settings(NETWORK) | changes)

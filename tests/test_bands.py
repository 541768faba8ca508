import itertools

import pytest

from dfc2020_geo.bands import BAND_SETS, BANDS, band_names, select_bands


def test_sets_are_those_of_the_2020_baseline() -> None:
    assert BAND_SETS['s2-10m'] == ('B02', 'B03', 'B04', 'B08')
    assert BAND_SETS['s2-20m'] == ('B05', 'B06', 'B07', 'B8A', 'B11', 'B12')
    assert BAND_SETS['s2-60m'] == ('B01', 'B09', 'B10')
    assert BAND_SETS['s1'] == ('VV', 'VH')
    assert len(BAND_SETS['s2']) == 13


def test_file_positions_are_those_of_gdal() -> None:
    assert [BANDS[name].file_index for name in ('B01', 'B08', 'B8A', 'B12')] == [
        1, 8, 9, 13,
    ]  # fmt: skip
    assert [BANDS[name].file_index for name in ('VV', 'VH')] == [1, 2]


@pytest.mark.parametrize('names', list(itertools.permutations(['s1', 'B03', 's2-60m'])))
def test_order_of_names_does_not_matter(names: tuple[str, ...]) -> None:
    expected = ('B01', 'B03', 'B09', 'B10', 'VV', 'VH')
    assert band_names(names) == expected
    assert band_names([*names, 'VV', 'B03']) == expected


def test_bands_select_themselves() -> None:
    bands = select_bands(['s2-10m', 'VV'])
    assert select_bands(bands) == bands


@pytest.mark.parametrize(
    ('names', 'got'), [(['s1', 'B99'], r"\['B99'\]"), ([], r'\[\]'), (['B2'], "'B2'")]
)
def test_unknown_bands_are_named(names: list[str], got: str) -> None:
    with pytest.raises(
        ValueError, match=rf'VH or band sets s1, s2-10m, .* got .*{got}'
    ):
        select_bands(names)

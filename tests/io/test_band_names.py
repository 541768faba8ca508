"""Which band a description or a file name means."""

import pytest

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.io.band_names import name_band, name_bands, split_file_name

S2 = BAND_SETS['s2']


@pytest.mark.parametrize(
    ('text', 'band'),
    [
        ('B04', 'B04'),
        ('B4', 'B04'),
        ('b04', 'B04'),
        ('Band 4', 'B04'),
        ('band_4', 'B04'),
        ('B04 - Red', 'B04'),
        ('B4, central wavelength 665 nm', 'B04'),
        ('S2_B04_10m', 'B04'),
        ('B1', 'B01'),
        ('B10', 'B10'),
        ('B11', 'B11'),
        ('B8', 'B08'),
        ('B08', 'B08'),
        ('B8A', 'B8A'),
        ('b8a', 'B8A'),
        ('Band 8A', 'B8A'),
        ('B08A', 'B8A'),
        ('B09', 'B09'),
        ('nir', 'B08'),
        ('NIR narrow', 'B8A'),
        ('nir08', 'B8A'),
        ('rededge1', 'B05'),
        ('Red Edge 3', 'B07'),
        ('swir16', 'B11'),
        ('SWIR2', 'B12'),
        ('Coastal aerosol', 'B01'),
        ('red', 'B04'),
        ('B13', None),
        ('B00', None),
        ('B8/B4', None),
        ('B040', None),
        ('S2B', None),
        ('AB04', None),
        ('rededge', None),
        ('SCL', None),
        ('', None),
        ('4', None),
    ],
)
def test_descriptions_of_sentinel_2(text: str, band: str | None) -> None:
    assert name_band(text, 's2') == band


@pytest.mark.parametrize(
    ('text', 'band'),
    [
        ('VV', 'VV'),
        ('vh', 'VH'),
        ('Sigma0_VV_db', 'VV'),
        ('Sigma0_VVdb', 'VV'),
        ('Gamma0VH', 'VH'),
        ('s1a-iw-grd-vh-20240101t05-002', 'VH'),
        ('HH', 'HH'),
        ('VV/VH', None),
        ('angle', None),
        ('VVX', None),
        ('SVV', None),
    ],
)
def test_descriptions_of_sentinel_1(text: str, band: str | None) -> None:
    assert name_band(text, 's1') == band


@pytest.mark.parametrize(
    ('stem', 'sensor', 'expected'),
    [
        ('T32TNS_20240101T101010_B04', 's2', ('B04', 'T32TNS_20240101T101010')),
        ('T32TNS_20240101T101010_B8A_20m', 's2', ('B8A', 'T32TNS_20240101T101010')),
        ('S2B_OPER_MSI_L1C_TL_T32TNS_B01', 's2', ('B01', 'S2B_OPER_MSI_L1C_TL_T32TNS')),
        ('scene_B4', 's2', ('B04', 'scene')),
        ('B12', 's2', ('B12', '')),
        ('B02_60m', 's2', ('B02', '')),
        ('scene_B4_resampled', 's2', ('B04', 'scene_resampled')),
        ('lake-red', 's2', ('B04', 'lake')),
        ('nir', 's2', ('B08', '')),
        ('T32TNS_20240101T101010_TCI', 's2', (None, 'T32TNS_20240101T101010_TCI')),
        ('scene', 's2', (None, 'scene')),
        ('redlake', 's2', (None, 'redlake')),
        ('scene_VV', 's1', ('VV', 'scene')),
        ('s1a-iw-grd-vv-2024-001', 's1', ('VV', 's1a-iw-grd-2024-001')),
        ('scene_VV_VH', 's1', (None, 'scene_VV_VH')),
    ],
)
def test_file_names(stem: str, sensor: str, expected: tuple[str | None, str]) -> None:
    assert split_file_name(stem, sensor) == expected


@pytest.mark.parametrize(
    ('descriptions', 'named'),
    [
        ([f'Band {i}' for i in range(1, 14)], []),
        ([f'Band {i}' for i in range(1, 5)], []),
        ([f'B{i}' for i in range(1, 13)], []),
        ([f'B{i}' for i in range(1, 5)], ['B01', 'B02', 'B03', 'B04']),
        (['Band 2', 'Band 3', 'Band 4'], ['B02', 'B03', 'B04']),
        (list(S2), list(S2)),
        (['B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A'], [*S2[:9]]),
    ],
)
def test_a_count_is_no_name(descriptions: list[str], named: list[str]) -> None:
    assert [name for name in name_bands(descriptions, 's2') if name] == named

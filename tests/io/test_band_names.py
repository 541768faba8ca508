"""Which band a description or a file name means."""

import pytest

from dfc2020_geo.bands import BAND_SETS, Sensor
from dfc2020_geo.io.band_names import (
    name_band,
    name_bands,
    split_file_name,
    split_file_names,
)

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


DIALECTS = {
    'Copernicus SAFE by GDAL': {
        'B4, central wavelength 665 nm': 'B04',
        'B8, central wavelength 842 nm': 'B08',
        'B8A, central wavelength 865 nm': 'B8A',
    },
    'Sentinel Hub': {
        'B05 - Vegetation red edge': 'B05',
        'B8A - Narrow NIR': 'B8A',
        'B09 - Water vapour': 'B09',
        'B10 - SWIR - Cirrus': 'B10',
        'B11 - SWIR': 'B11',
        'dataMask': None,
    },
    'Earth Search': {
        'coastal': 'B01', 'blue': 'B02', 'red': 'B04', 'rededge3': 'B07', 'nir': 'B08',
        'nir08': 'B8A', 'nir09': 'B09', 'swir16': 'B11', 'swir22': 'B12', 'scl': None,
        'aot': None, 'wvp': None, 'visual': None, 'thumbnail': None,
    },
    'Planetary Computer': {
        'B01': 'B01', 'B8A': 'B8A', 'SCL': None, 'visual-10m': None, 'preview': None,
    },
    'Earth Engine': {
        'B1': 'B01', 'B8': 'B08', 'B8A': 'B8A', 'B9': 'B09', 'TCI_R': None,
        'MSK_CLDPRB': None, 'MSK_CLASSI_CIRRUS': None, 'QA60': None, 'AOT': None,
    },
    'Earth Engine composites': {'B4_median': 'B04', 'B8_median': 'B08', 'B8_stdDev': None},
    'FORCE': {
        'BLUE': 'B02', 'GREEN': 'B03', 'RED': 'B04', 'REDEDGE1': 'B05', 'REDEDGE2': 'B06',
        'REDEDGE3': 'B07', 'BROADNIR': 'B08', 'NIR': 'B8A', 'SWIR1': 'B11',
        'SWIR2': 'B12',
    },
    'DEA': {
        'nbart_coastal_aerosol': 'B01', 'nbart_blue': 'B02', 'nbart_red_edge_1': 'B05',
        'nbart_nir_1': 'B08', 'nbart_nir_2': 'B8A', 'nbart_swir_2': 'B11',
        'nbart_swir_3': 'B12', 'oa_fmask': None,
    },
    'DEA, few bands': {'nbart_nir_1': 'B08', 'nbart_swir_2': 'B11'},
    'Digital Earth Africa': {
        'red_edge_2': 'B06', 'nir_1': 'B08', 'nir_2': 'B8A', 'water_vapour': 'B09',
        'swir_1': 'B11', 'swir_2': 'B12', 'mask': None,
    },
    'HLS': {'B02': 'B02', 'B8A': 'B8A', 'Fmask': None, 'SAA': None, 'VZA': None},
    'SNAP': {
        'B4': 'B04', 'B8': 'B08', 'view_zenith_B4': None, 'view_azimuth_mean': None,
        'B_detector_footprint_B4': None, 'quality_scene_classification': None,
    },
    'openEO': {'B02': 'B02', 'SCL': None, 'viewZenithMean': None},
    'EnMAP-Box': {
        'Band 1 (490.000000 Nanometers)': 'B02', 'Band 2 (0.665 um)': 'B04',
        'Band 3 (842 nm)': 'B08', 'Band 4 (0.865 Micrometers)': 'B8A',
    },
    'counted colours': {
        'Band 1: Blue': 'B02', 'Band 2: Green': 'B03', 'Band 3: Red': 'B04',
        'Band 4: NIR': 'B08',
    },
    'resolutions': {'blue_10m': 'B02', 'nir_10m': 'B08', 'swir_1_20m': 'B11'},
    'an area called b2': {'b2 blue': 'B02', 'b2 red': 'B04', 'b2 nir': 'B08', 'b2 scl': None},
    'the second date': {'blue_2': 'B02', 'red_2': 'B04', 'nir_2': 'B08'},
    'Landsat by Earth Engine': {'SR_B4': None, 'SR_B5': None, 'ST_B10': None},
    'Landsat': {'B5 - NIR': None, 'B6 - SWIR1': None, 'B7 - SWIR2': None},
    'without another shortwave band': {'red': 'B04', 'swir_2': None},
}  # fmt: skip


@pytest.mark.parametrize('dialect', DIALECTS)
def test_dialects_are_judged_by_all_texts(dialect: str) -> None:
    texts = DIALECTS[dialect]
    assert dict(zip(texts, name_bands([*texts], 's2'), strict=True)) == texts


@pytest.mark.parametrize(
    ('texts', 'bands'),
    [
        (['Sigma0_VH_db', 'Sigma0_VV_db'], ['VH', 'VV']),
        (['VV', 'VH', 'angle'], ['VV', 'VH', None]),
        (
            ['VV', 'VH', 'local_incidence_angle', 'ratio VV/VH'],
            ['VV', 'VH', None, None],
        ),
        (['VV', 'VV_mask'], ['VV', None]),
    ],
)
def test_dialects_of_sentinel_1(texts: list[str], bands: list[str | None]) -> None:
    assert name_bands(texts, 's1') == bands


THEIA = 'SENTINEL2A_20200412-110342-460_L2A_T31TCJ_D_V1-4'


@pytest.mark.parametrize(
    ('expected', 'sensor'),
    [
        ({f'{THEIA}_FRE_B2': ('B02', f'{THEIA}_FRE'), f'{THEIA}_FRE_B8A': ('B8A', f'{THEIA}_FRE'),
          f'{THEIA}_ATB_R1': (None, f'{THEIA}_ATB_R1')}, 's2'),
        ({'HLS.S30.T32TNS.v2.0.B04': ('B04', 'HLS.S30.T32TNS.v2.0'),
          'HLS.S30.T32TNS.v2.0.Fmask': (None, 'HLS.S30.T32TNS.v2.0.Fmask')}, 's2'),
        ({'HLS.L30.T32TNS.v2.0.B05': (None, 'HLS.L30.T32TNS.v2.0.B05')}, 's2'),
        ({'LC08_L1TP_193027_20200510_B5': (None, 'LC08_L1TP_193027_20200510_B5')}, 's2'),
        ({'ga_s2am_final_nbart_nir_1': ('B08', 'ga_s2am_final_nbart'),
          'ga_s2am_final_nbart_swir_2': ('B11', 'ga_s2am_final_nbart')}, 's2'),
        ({'ga_s2am_nbart_band08a': ('B8A', 'ga_s2am_nbart')}, 's2'),
        ({'S2A_OPER_MSI_L1C_TL_T32TNS_B8A': ('B8A', 'S2A_OPER_MSI_L1C_TL_T32TNS')}, 's2'),
        ({'L2A_T32TQR_20180101T1_B02_10m': ('B02', 'L2A_T32TQR_20180101T1')}, 's2'),
        ({'MSK_DETFOO_B02': (None, 'MSK_DETFOO_B02'), 'MSK_QUALIT_B03': (None, 'MSK_QUALIT_B03')}, 's2'),
        ({'T32TNS_PVI': (None, 'T32TNS_PVI'), 'T32TNS_B02': ('B02', 'T32TNS')}, 's2'),
        ({'b2_B02': ('B02', 'b2'), 'b2_B03': ('B03', 'b2'), 'b2_SCL': (None, 'b2_SCL')}, 's2'),
        ({'B02_b2': ('B02', 'b2'), 'B03_b2': ('B03', 'b2')}, 's2'),
        ({'b1_B02': ('B02', 'b1'), 'b1_B03': ('B03', 'b1'), 'b2_B02': ('B02', 'b2'),
          'b2_B03': ('B03', 'b2')}, 's2'),
        ({'red_20240101': ('B04', '20240101'), 'nir_20240101': ('B08', '20240101')}, 's2'),
        ({'b2_blue': ('B02', 'b2'), 'b2_nir': ('B08', 'b2'), 'b8_blue': ('B02', 'b8'),
          'b8_nir': ('B08', 'b8')}, 's2'),
        ({'T32_B02_blue': ('B02', 'T32'), 'T32_B8A_nir': ('B8A', 'T32')}, 's2'),
        ({'red_sea': (None, 'red_sea')}, 's2'),
        ({'vh_lake_VV': ('VV', 'vh_lake'), 'vh_lake_VH': ('VH', 'vh_lake')}, 's1'),
    ],
)  # fmt: skip
def test_files_of_a_folder_are_judged_together(
    expected: dict[str, tuple[str | None, str]], sensor: Sensor
) -> None:
    found = split_file_names([*expected], sensor)
    assert dict(zip(expected, found, strict=True)) == expected

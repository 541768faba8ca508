"""Patches whose files describe their bands are read by these, as scenes are."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from dfc2020_geo.bands import BAND_SETS, Sensor
from dfc2020_geo.io.rasters import read_raw
from tests.support.scene_files import constant, write

S2 = BAND_SETS['s2']
LATE_B8A = sorted(S2)


def read(path: Path, bands: list[str], sensor: Sensor) -> list[float]:
    names = BAND_SETS[sensor]
    indexes = [names.index(band) + 1 for band in bands]
    pixels = read_raw(path, indexes, len(names), sensor=sensor)
    return pixels.values[:, 0, 0].tolist()


@pytest.mark.parametrize('options', [{}, {'compress': 'deflate'}, {'tiled': True}])
def test_descriptions_count(tmp_path: Path, options: dict[str, object]) -> None:
    size = {'blockxsize': 16, 'blockysize': 16} if options.get('tiled') else {}
    radar = constant(['VH', 'VV'], 16, 16, 'float32')
    path = write(
        tmp_path / 'a.tif', radar, descriptions=['VH', 'VV'], **options, **size
    )
    assert read(path, ['VV', 'VH'], 's1') == [14, 15]
    other = write(
        tmp_path / 'b.tif', radar[::-1], descriptions=['VV', 'VH'], **options, **size
    )
    # Files that differ in nothing but the order of their descriptions.
    for _ in range(2):
        assert read(other, ['VV', 'VH'], 's1') == [14, 15]
        assert read(path, ['VV', 'VH'], 's1') == [14, 15]


def test_positions_count_without_descriptions(tmp_path: Path) -> None:
    image = constant(['VH', 'VV'], 4, 4, 'float32')
    path = write(tmp_path / 'a.tif', image)
    assert read(path, ['VV', 'VH'], 's1') == [15, 14]
    counted = write(tmp_path / 'b.tif', image, descriptions=['Band 1', 'Band 2'])
    assert read(counted, ['VV', 'VH'], 's1') == [15, 14]


def test_more_bands_than_the_sensor_has(tmp_path: Path) -> None:
    names = [*[n for n in LATE_B8A if n != 'B10'], 'SCL']
    image = constant([*names[:-1], 'B01'], 4, 4)
    path = write(tmp_path / 'a.tif', image, descriptions=names)
    assert read(path, ['B02', 'B8A', 'B12'], 's2') == [2, 9, 13]
    with pytest.raises(RuntimeError, match=r'the bands B10 once, .*SCL in .*a\.tif'):
        read(path, ['B10'], 's2')


def test_descriptions_beside_the_file_count(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.tif', constant(['VH', 'VV'], 4, 4, 'float32'))
    items = ''.join(
        f'<PAMRasterBand band="{i}"><Description>{name}</Description></PAMRasterBand>'
        for i, name in enumerate(('VH', 'VV'), 1)
    )
    Path(f'{path}.aux.xml').write_text(f'<PAMDataset>{items}</PAMDataset>')
    with rasterio.open(path) as raster:
        assert raster.descriptions == ('VH', 'VV')
    assert read(path, ['VV', 'VH'], 's1') == [14, 15]


def test_escaped_descriptions(tmp_path: Path) -> None:
    names = ['VH & "more"', 'VV <dB>']
    image = np.stack([np.full((4, 4), 1, np.float32), np.full((4, 4), 2, np.float32)])
    path = write(tmp_path / 'a.tif', image, descriptions=names)
    assert read(path, ['VV', 'VH'], 's1') == [2, 1]

"""Values that cannot be what networks were trained on."""

import re
from pathlib import Path

import numpy as np
import pytest

from dfc2020_geo.bands import BANDS
from dfc2020_geo.io.scenes import check_values, open_scene
from tests.support.scene_files import decibels, noise, place, write, write_s1, write_s2


def believable(count: int = 13, height: int = 40, width: int = 50) -> np.ndarray:
    """Land and water at the level of SEN12MS: the darkest numbers are small."""
    image = noise(count, height, width)
    image[:, ::7, ::5] //= 20
    return image


def warnings_of(tmp_path: Path, image: np.ndarray, **options: object) -> list[str]:
    sensor = 's2' if len(image) == 13 else 's1'
    path = write(tmp_path / 'a.tif', image)
    return check_values(open_scene(**{sensor: path}, bands=[sensor], **options))


def test_nothing_to_say(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, believable()) == []
    assert warnings_of(tmp_path, decibels(40, 50)) == []
    s2 = write(tmp_path / 's2.tif', believable())
    s1 = write_s1(tmp_path / 's1.tif')
    assert check_values(open_scene(s2, s1, bands=['s2-10m', 'VH'])) == []


def power(height: int = 40, width: int = 50) -> np.ndarray:
    return (10 ** (decibels(height, width) / 10)).astype(np.float32)


def test_linear_power_is_refused(tmp_path: Path) -> None:
    image = power()
    image[:, :3] = 0
    with pytest.raises(ValueError, match=r'scene a, got linear power.*--s1_power true'):
        warnings_of(tmp_path, image)
    assert warnings_of(tmp_path, image, s1_power=True) == []
    s2 = write_s2(tmp_path / 's2.tif')
    s1 = write(tmp_path / 's1.tif', power(80, 80), transform=place(10, -103, 103))
    scene = open_scene(s2, s1, bands=['B02', 'VH'])
    with pytest.raises(ValueError, match=r'scene s2, got linear power'):
        check_values(scene)


def test_decibels_declared_as_power_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'got decibels: .*Leave out --s1_power'):
        warnings_of(tmp_path, decibels(40, 50), s1_power=True)


def test_digital_numbers_are_not_called_power(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'not calibrated: make sigma nought'):
        warnings_of(tmp_path, noise(2, 40, 50))


@pytest.mark.parametrize('data', ['nowhere', 's2 here, s1 there'])
def test_no_pixel_with_data(tmp_path: Path, data: str) -> None:
    image, radar = believable(), decibels(40, 50)
    if data == 'nowhere':
        image[:] = 0
    else:
        image[:, :20], radar[:, 20:] = 0, np.nan
    s2 = write(tmp_path / 's2.tif', image)
    s1 = write(tmp_path / 's1.tif', radar)
    with pytest.raises(
        ValueError, match=r'data of all sensors in the scene s2, got none'
    ):
        check_values(open_scene(s2, s1, bands=['s2', 's1']))


def test_a_few_pixels_with_data_are_found(tmp_path: Path) -> None:
    image = np.zeros((2, 1100, 1000), np.float32)
    path = write(tmp_path / 'a.tif', image, compress='deflate')
    image[:, 7, 3], image[:, 1099, 999] = -11, -13
    path = write(tmp_path / 'a.tif', image, compress='deflate')
    assert check_values(open_scene(s1=path, bands=['s1'])) == []
    image[:, 7, 3], image[:, 1099, 999] = 0.1, 0.2
    path = write(tmp_path / 'a.tif', image, compress='deflate')
    with pytest.raises(ValueError, match=r'linear power: .* 0\.1 to 0\.2'):
        check_values(open_scene(s1=path, bands=['s1']))


@pytest.mark.parametrize(
    ('image', 'match'),
    [
        (believable() / np.float32(10000), r'reflectance from 0 to 1.*-scale 0 1 0'),
        (believable() // 40, r'at most \d+: a picture of 8 bits'),
        (believable() + np.uint16(1000), r'darkest.*10\d\d.*give --s2_offset -1000'),
        (believable().astype('float32') - 3000, r'below -100.*Give --s2_offset 0'),
        (believable() + np.uint16(20000), r'100% of B01 lie beyond 10000'),
    ],
)
def test_sentinel_2_in_another_unit(
    tmp_path: Path, image: np.ndarray, match: str
) -> None:
    [text, *others] = warnings_of(tmp_path, image)
    assert re.search(match, text)
    assert all('lie beyond' in other for other in others)


@pytest.mark.parametrize(
    ('image', 'match'),
    [
        (decibels(40, 50)[::-1], r'VH .* is brighter than VV .*--s1_bands'),
        (decibels(40, 50) * 100, r'Half of VV is below -9\d\d'),
        (decibels(40, 50) - 30, r'100% of VH lie beyond -25'),
        (power() - np.float32(0.02), r'Half of VV is below 0\.\d+, .*--s1_power true'),
    ],
)
def test_sentinel_1_in_another_unit(
    tmp_path: Path, image: np.ndarray, match: str
) -> None:
    assert re.search(match, ' '.join(warnings_of(tmp_path, image)))


def test_an_offset_that_was_added_is_not_asked_for(tmp_path: Path) -> None:
    image = believable() + np.uint16(1000)
    assert warnings_of(tmp_path, image, s2_offset=-1000) == []
    [text] = warnings_of(tmp_path, believable() // 3 + 300, s2_offset=-1000)
    assert 'an offset of -1000 was added' in text


def test_bands_that_were_filled_in(tmp_path: Path) -> None:
    image = believable()
    image[[*BANDS].index('B10')] = 0
    [text] = warnings_of(tmp_path, image)
    assert text.startswith('B10 have the same value everywhere')


def test_a_large_scene_is_sampled(tmp_path: Path) -> None:
    radar = np.broadcast_to(np.float32([[[-10]], [[-17]]]), (2, 3000, 3000)).copy()
    radar[:, 1000] += 3
    path = tmp_path / 'a.tif'
    write(path, radar, tiled=True, blockxsize=256, blockysize=256)
    content = bytearray(path.read_bytes())
    # What is not read may be damaged: the last blocks are.
    path.write_bytes(content[: -2 * 4 * 256 * 256])
    scene = open_scene(s1=path, bands=['s1'])
    with pytest.raises(RuntimeError, match='damaged'):
        scene.read((2900, 3000), (2900, 3000))
    check_values(scene)

"""Values that cannot be what networks were trained on."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from dfc2020_geo.bands import BANDS
from dfc2020_geo.io.scenes import Scene, check_scene, open_scene
from dfc2020_geo.io.value_checks import Flags
from tests.support.scene_files import decibels, noise, place, write, write_s1, write_s2


def believable(count: int = 13, height: int = 40, width: int = 50) -> np.ndarray:
    """Land and water at the level of SEN12MS: the darkest numbers are small."""
    image = noise(count, height, width)
    image[:, ::7, ::5] //= 20
    return image


FLAGS = Flags('--s2_offset', '--s1_power', '--s1_bands', '--s2_bands')


def check(scene: Scene) -> list[str]:
    """What is found, each with its level."""
    findings = check_scene(scene, FLAGS).findings
    return [f'{finding.level}: {finding}' for finding in findings]


def warnings_of(tmp_path: Path, image: np.ndarray, **options: object) -> list[str]:
    sensor = 's2' if len(image) == 13 else 's1'
    path = write(tmp_path / 'a.tif', image)
    return check(open_scene(**{sensor: path}, bands=[sensor], **options))


def test_nothing_to_say(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, believable()) == []
    assert warnings_of(tmp_path, decibels(40, 50)) == []
    s2 = write(tmp_path / 's2.tif', believable())
    s1 = write_s1(tmp_path / 's1.tif')
    assert check(open_scene(s2, s1, bands=['s2-10m', 'VH'])) == []


def power(height: int = 40, width: int = 50) -> np.ndarray:
    return (10 ** (decibels(height, width) / 10)).astype(np.float32)


def test_linear_power_is_refused(tmp_path: Path) -> None:
    image = power()
    image[:, :3] = 0
    [text] = warnings_of(tmp_path, image)
    assert re.search(r'^error: .*got linear power.*--s1_power true', text)
    assert warnings_of(tmp_path, image, s1_power=True) == []
    s2 = write_s2(tmp_path / 's2.tif')
    s1 = write(tmp_path / 's1.tif', power(80, 80), transform=place(10, -103, 103))
    scene = open_scene(s2, s1, bands=['B02', 'VH'])
    [text] = check(scene)
    assert 'got linear power' in text


def test_decibels_declared_as_power_are_refused(tmp_path: Path) -> None:
    [text] = warnings_of(tmp_path, decibels(40, 50), s1_power=True)
    assert re.search(r'^error: .*got decibels: .*Leave out --s1_power', text)


def test_digital_numbers_are_not_called_power(tmp_path: Path) -> None:
    [text] = warnings_of(tmp_path, noise(2, 40, 50))
    assert re.search(r'^error: .*not calibrated: make sigma nought', text)


@pytest.mark.parametrize('data', ['nowhere', 's2 here, s1 there'])
def test_no_pixel_with_data(tmp_path: Path, data: str) -> None:
    image, radar = believable(), decibels(40, 50)
    if data == 'nowhere':
        image[:] = 0
    else:
        image[:, :20], radar[:, 20:] = 0, np.nan
    s2 = write(tmp_path / 's2.tif', image)
    s1 = write(tmp_path / 's1.tif', radar)
    [text] = check(open_scene(s2, s1, bands=['s2', 's1']))
    assert re.search(r'^error: .*data of all sensors in the scene s2, got none', text)


def test_a_few_pixels_with_data_are_found(tmp_path: Path) -> None:
    image = np.zeros((2, 1100, 1000), np.float32)
    path = write(tmp_path / 'a.tif', image, compress='deflate')
    image[:, 7, 3], image[:, 1099, 999] = -11, -13
    path = write(tmp_path / 'a.tif', image, compress='deflate')
    assert check(open_scene(s1=path, bands=['s1'])) == []
    image[:, 7, 3], image[:, 1099, 999] = 0.1, 0.2
    path = write(tmp_path / 'a.tif', image, compress='deflate')
    [text] = check(open_scene(s1=path, bands=['s1']))
    assert re.search(r'linear power: .* 0\.1\d* to 0\.1\d*', text)


@pytest.mark.parametrize(
    ('image', 'match'),
    [
        (believable() / np.float32(10000), r'reflectance from 0 to 1.*-scale 0 1 0'),
        (believable() // 40, r'at most \d+: a picture of 8 bits'),
        (believable() + np.uint16(1000), r'darkest.*10\d\d.*give --s2_offset -1000'),
        (believable().astype('float32') - 3000, r'below -100.*taken off twice'),
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
        (power() - np.float32(0.02), r'error: .*got linear power.*--s1_power true'),
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
    assert 'An offset of -1000 was added' in text


def test_bands_that_were_filled_in(tmp_path: Path) -> None:
    image = believable()
    image[[*BANDS].index('B10')] = 0
    [text] = warnings_of(tmp_path, image)
    assert text.startswith('warning: B10 have the same value everywhere')


def test_a_large_scene_is_sampled(tmp_path: Path) -> None:
    radar = np.broadcast_to(np.float32([[[-10]], [[-17]]]), (2, 3000, 3000)).copy()
    radar[:, 1000] += 3
    path = tmp_path / 'a.tif'
    size = {'blockxsize': 256, 'blockysize': 256}
    write(path, radar, tiled=True, compress='deflate', **size)
    with rasterio.open(path) as raster:
        start = int(raster.get_tag_item('BLOCK_OFFSET_6_6', 'TIFF', bidx=1))
    content = bytearray(path.read_bytes())
    # What is not read may be damaged: a block in the middle is.
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    scene = open_scene(s1=path, bands=['s1'])
    with pytest.raises(RuntimeError, match='damaged'):
        scene.read((1500, 1700), (1500, 1700))
    assert check(scene) == []


def test_fill_at_the_edge_of_a_large_scene_is_found(tmp_path: Path) -> None:
    radar = decibels(1500, 1400)
    radar[:, :, :10] = -9999
    scene = check_scene(open_scene(s1=write(tmp_path / 'a.tif', radar), bands=['s1']))
    assert ' -9999, which nothing declares' in str(*scene.findings)
    assert (
        scene.notes[-1] == 'Sentinel-1: -9999 taken for no data, which nothing declares'
    )
    image, valid = scene.read((0, 20), (0, 40))
    assert np.isnan(image[:, :, :10]).all()
    assert np.array_equal(valid, np.isfinite(image[0]))
    assert np.array_equal(image[:, :, 10:], radar[:, :20, 10:40])


@pytest.mark.parametrize('fill', [-9999, 1e20, np.inf])
def test_fill_does_not_fade_into_what_is_warped(tmp_path: Path, fill: float) -> None:
    radar = decibels(80, 90)
    radar[:, :, :30] = fill
    moved = place(dx=-203, dy=203)
    s2 = write(tmp_path / 's2.tif', believable())
    declared = radar.copy()
    declared[:, :, :30] = np.nan
    images = []
    for name, values in (('fill', radar), ('declared', declared)):
        s1 = write(tmp_path / f'{name}.tif', values, transform=moved)
        scene = check_scene(open_scene(s2, s1, bands=['B02', 's1']))
        assert len(scene.findings) == (name == 'fill')
        images.append(scene.read((0, 40), (0, 50)))
    for filled, expected in zip(*images, strict=True):
        assert np.array_equal(filled, expected, equal_nan=True)
    assert not images[0][1].all()


def test_a_scene_of_little_but_fill_is_judged_by_the_rest(tmp_path: Path) -> None:
    image = np.full((2, 700, 700), -9999, np.float32)
    image[:, 150:190, 150:200] = power()
    path = write(tmp_path / 'a.tif', image)
    texts = check(open_scene(s1=path, bands=['s1']))
    assert [text.partition(':')[0] for text in texts] == ['warning', 'error']
    assert 'linear power' in texts[1]


def test_fill_in_a_product_that_says_what_is_saturated(tmp_path: Path) -> None:
    image = believable()
    image[:, :, :20] = 65535
    path = write(tmp_path / 'a.tif', image)
    scene = open_scene(s2=path, bands=['s2'])
    told = replace(scene.codings[0], has_metadata=True)
    bright = check_scene(replace(scene, codings=(told,)))
    assert bright.read((0, 9), (0, 9))[1].all()
    assert not check_scene(scene).read((0, 9), (0, 9))[1].any()

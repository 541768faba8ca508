"""What makes no scene, and what is said of it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from dfc2020_geo.io.scenes import open_scene
from tests.support.scene_files import (
    UTM33,
    decibels,
    noise,
    place,
    write,
    write_s1,
    write_s2,
)

pytestmark = pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)


@pytest.mark.parametrize(
    ('crs', 'transform', 'match'),
    [
        (None, place(), r'got .*a\.tif without a CRS'),
        ('EPSG:32632', Affine.identity(), r'got .*a\.tif with the identity transform'),
        (None, Affine.identity(), r'got .*a\.tif without a CRS'),
    ],
)
@pytest.mark.parametrize('sensor', ['s2', 's1'])
def test_a_scene_has_its_place(
    tmp_path: Path, crs: str | None, transform: Affine, match: str, sensor: str
) -> None:
    writer = {'s2': write_s2, 's1': write_s1}[sensor]
    path = writer(tmp_path / 'a.tif', crs=crs, transform=transform)
    with pytest.raises(RuntimeError, match=match):
        open_scene(**{sensor: path}, bands=[sensor])
    if sensor == 's1':
        s2 = write_s2(tmp_path / 'b.tif')
        with pytest.raises(RuntimeError, match=match):
            open_scene(s2, path, bands=['s2', 's1'])


@pytest.mark.parametrize('crs', ['EPSG:32632', UTM33, 'EPSG:4326', 'EPSG:32660'])
def test_sentinel_1_of_another_place(tmp_path: Path, crs: str) -> None:
    s2 = write_s2(tmp_path / 's2.tif')
    far = Affine(1e-4, 0, 100, 0, -1e-4, 10) if crs == 'EPSG:4326' else place(dx=9000)
    s1 = write_s1(tmp_path / 's1.tif', crs=crs, transform=far)
    with pytest.raises(RuntimeError, match=r's1\.tif.* does not overlap .*s2\.tif'):
        open_scene(s2, s1, bands=['s2', 's1'])


def test_a_crs_that_is_not_on_earth(tmp_path: Path) -> None:
    s2 = write_s2(tmp_path / 's2.tif')
    s1 = write_s1(tmp_path / 's1.tif', crs='LOCAL_CS["x",UNIT["metre",1]]')
    with pytest.raises(RuntimeError, match=r'same Earth, got .*s1\.tif.*s2\.tif'):
        open_scene(s2, s1, bands=['s2', 's1'])


@pytest.mark.parametrize(
    ('transform', 'shape', 'crs'),
    [
        (place(10, 5), (12, 18), 'EPSG:32632'),
        (place(10, 10), (12, 18), 'EPSG:32632'),
        (place(10), (12, 17), 'EPSG:32632'),
        (place(20), (5, 9), 'EPSG:32632'),
        (place(20, 60), (6, 9), 'EPSG:32632'),
        (place(10), (12, 18), UTM33),
        (place() @ Affine.rotation(2), (12, 18), 'EPSG:32632'),
    ],
)
def test_bands_that_share_no_grid(
    tmp_path: Path, transform: Affine, shape: tuple[int, int], crs: str
) -> None:
    write(tmp_path / 'x_B02.tif', noise(1, 12, 18))
    write(tmp_path / 'x_B11.tif', noise(1, *shape), transform=transform, crs=crs)
    match = r'on one grid, got .*x_B11.* pixels of EPSG.* beside .*x_B02'
    if shape == (12, 17):
        match = r'on one grid, got '
    with pytest.raises(RuntimeError, match=match):
        open_scene(tmp_path, bands=['B02', 'B11'])


def test_complex_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / 'slc.tif', decibels(5, 6).astype(np.complex64))
    with pytest.raises(RuntimeError, match=r'complex64 in .*slc\.tif; .*calibrated'):
        open_scene(s1=path, bands=['s1'])


@pytest.mark.parametrize(('sensor', 'band'), [('s2', 'B02'), ('s1', 'VV')])
def test_images_that_are_not_given(tmp_path: Path, sensor: str, band: str) -> None:
    with pytest.raises(ValueError, match=rf'{band}.* got none; give --{sensor}'):
        open_scene(bands=[sensor])


def test_an_offset_that_is_no_number(tmp_path: Path) -> None:
    s2 = write_s2(tmp_path / 's2.tif')
    with pytest.raises(ValueError, match=r's2_offset to be a number, got nan'):
        open_scene(s2, bands=['s2'], s2_offset=float('nan'))


def test_what_is_no_raster(tmp_path: Path) -> None:
    (tmp_path / 'a.tif').write_bytes(b'no raster')
    with pytest.raises(
        RuntimeError, match=r'damaged or missing one: .*a\.tif'
    ) as caught:
        open_scene(tmp_path / 'a.tif', bands=['s2'])
    assert isinstance(caught.value.__cause__, rasterio.RasterioIOError)
    name = f'/vsizip/{tmp_path}/missing.zip/a.tif'
    with pytest.raises(RuntimeError, match=r'damaged or missing one: /vsizip/'):
        open_scene(name, bands=['s2'])


@pytest.mark.parametrize('compress', [None, 'deflate'])
@pytest.mark.parametrize('damaged', ['s2', 's1', 's1 warped'])
def test_a_damaged_block_in_the_middle(
    tmp_path: Path, compress: str | None, damaged: str
) -> None:
    options = {'tiled': True, 'blockxsize': 16, 'blockysize': 16, 'compress': compress}
    grid = place(10, 3, 3) if damaged == 's1 warped' else place()
    paths = {
        's2': write_s2(tmp_path / 's2.tif', 64, 64, **options),
        's1': write_s1(tmp_path / 's1.tif', 64, 64, transform=grid, **options),
    }
    path = paths[damaged[:2]]
    offset = _block_offset(path, 2, 1)
    content = bytearray(path.read_bytes())
    if compress:
        content[offset : offset + 8] = b'\xff' * 8
    else:
        content = content[:offset]
    path.write_bytes(content)
    scene = open_scene(**paths, bands=['s2', 's1'])
    scene.read((0, 16), (0, 16))
    with pytest.raises(
        RuntimeError,
        match=rf'damaged one: .*{path.name}, in rows 20 to 52 and columns 5 to 40',
    ) as caught:
        scene.read((20, 52), (5, 40))
    assert caught.value.__cause__ is not None
    scene.read((0, 16), (0, 16))


def _block_offset(path: Path, row: int, column: int) -> int:
    with rasterio.open(path) as raster:
        text = raster.get_tag_item(f'BLOCK_OFFSET_{column}_{row}', 'TIFF', bidx=1)
    return int(text)


@pytest.mark.parametrize('name', ['x_B02.tif', 'x_B02.jp2'])
def test_a_file_that_was_cut_short(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, noise(1, 64, 64))
    path.write_bytes(path.read_bytes()[:-3000])
    scene = open_scene(path, bands=['B02'])
    with pytest.raises(RuntimeError, match=rf'damaged one: .*{name}, in rows 0 to 64'):
        scene.read((0, 64), (0, 64))

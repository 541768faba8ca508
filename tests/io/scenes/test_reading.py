"""What is read from scenes whose files lie on one grid."""

import multiprocessing
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import Affine
from rasterio.enums import ColorInterp
from rasterio.env import get_gdal_config, set_gdal_config
from rasterio.shutil import copy
from rasterio.warp import Resampling, reproject

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.io.scenes import Scene, limit_cache, open_scene
from dfc2020_geo.io.scenes.radiometry import Coding, decode
from tests.support.processes import CONTEXT
from tests.support.scene_files import (
    UTM32,
    UTM33,
    constant,
    decibels,
    noise,
    place,
    read_whole,
    write,
    write_s1,
    write_s2,
)

S2 = BAND_SETS['s2']
ROTATED = Affine.translation(6e5, 5.3e6) @ Affine.rotation(30) @ Affine.scale(10, -10)


def read_all(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    return scene.read((0, scene.grid.height), (0, scene.grid.width))


def images_of(scene: Scene) -> np.ndarray:
    return read_all(scene)[0]


def spans(length: int) -> st.SearchStrategy[tuple[int, int]]:
    ends = st.lists(st.integers(0, length), min_size=2, max_size=2, unique=True)
    return ends.map(lambda pair: (min(pair), max(pair)))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_windows_of_plain_tiles_are_what_gdal_reads_through_its_cache(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp('tiles')
    options = {
        'tiled': True,
        'blockxsize': data.draw(st.sampled_from([16, 32])),
        'blockysize': data.draw(st.sampled_from([16, 48])),
        'interleave': data.draw(st.sampled_from(['band', 'pixel'])),
        'ENDIANNESS': data.draw(st.sampled_from(['LITTLE', 'BIG'])),
        'SPARSE_OK': data.draw(st.booleans()),
    }
    pixels = noise(13, 70, 90).astype(data.draw(st.sampled_from(['u2', 'i2', 'f4'])))
    pixels[:, :48, :64] = 0  # whole tiles, which a sparse file leaves out
    scene = open_scene(write(folder / 's2.tif', pixels, **options), bands=S2)
    for _ in range(5):
        rows, columns = data.draw(spans(70)), data.draw(spans(90))
        found, _ = scene.read(rows, columns)
        assert np.array_equal(found, pixels[:, slice(*rows), slice(*columns)])


@given(
    seed=st.integers(0, 1000),
    zeros=st.sampled_from([0.0, 0.1, 0.9]),
    nodata=st.sampled_from([None, 0, 3]),
    offset=st.sampled_from([0, -1000]),
    power=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_knowing_that_numbers_are_finite_changes_nothing(
    seed: int, zeros: float, nodata: float | None, offset: float, power: bool
) -> None:
    generator = np.random.default_rng(seed)
    stored = generator.integers(-3, 9, (3, 6, 7)).astype(np.float32)
    stored[generator.random(stored.shape) < zeros] = 0
    offsets = (0 if power else offset,) * 3  # of Sentinel-2 alone
    coding = Coding(0, (nodata,) * 3, offsets, power=power)
    images = [stored.copy(), stored.copy()]
    valid = [decode(images[known], coding, bool(known)) for known in (0, 1)]
    np.testing.assert_array_equal(*images)
    np.testing.assert_array_equal(*valid)


@pytest.mark.parametrize('interleave', ['band', 'pixel'])
@pytest.mark.parametrize('bands', [['s2', 's1'], ['B12', 's1', 'B02', 'B8A'], ['VH']])
@pytest.mark.parametrize('transform', [place(), ROTATED])
@pytest.mark.parametrize('crs', [UTM32, UTM33, 'EPSG:3035'])
def test_values_are_those_of_the_files(
    tmp_path: Path, interleave: str, bands: list[str], transform: Affine, crs: str
) -> None:
    options = {'crs': crs, 'transform': transform, 'interleave': interleave}
    s2 = write_s2(tmp_path / 's2.tif', 37, 53, **options)
    s1 = write_s1(tmp_path / 's1.tif', 37, 53, **options)
    scene = open_scene(s2, s1, bands)
    whole = np.concatenate([read_whole(s2), read_whole(s1)])
    expected = whole[[[*S2, 'VV', 'VH'].index(name) for name in scene.bands]]
    image, valid = read_all(scene)
    assert np.array_equal(image, expected)
    assert image.dtype == np.float32
    assert valid.dtype == np.bool_
    assert valid.all()
    assert (scene.grid.height, scene.grid.width) == (37, 53)
    assert scene.grid.crs == rasterio.CRS.from_string(crs)
    assert scene.grid.transform.almost_equals(transform)
    window = scene.read((5, 9), (50, 53))[0]
    assert np.array_equal(window, expected[:, 5:9, 50:53])


def test_slices_and_pairs_name_a_window(tmp_path: Path) -> None:
    scene = open_scene(write_s2(tmp_path / 'a.tif'), bands=['B03'])
    spans = (slice(3, 7), (3, 7))
    images = [scene.read(span, (2, 9))[0] for span in spans]
    assert images[0].shape == (1, 4, 7)
    assert np.array_equal(images[0], images[1])


@pytest.mark.parametrize('rows', [(-1, 3), (3, 3), (5, 3), (39, 41), (50, 70)])
def test_a_window_stays_in_the_scene(tmp_path: Path, rows: tuple[int, int]) -> None:
    scene = open_scene(write_s2(tmp_path / 'a.tif'), bands=['B03'])
    with pytest.raises(ValueError, match=rf'rows within the 40 .*got {rows[0]} to'):
        scene.read(rows, (0, 5))
    columns = (rows[0] + 10, rows[1] + 10) if rows[0] > 30 else rows
    with pytest.raises(
        ValueError, match=rf'columns within the 50 .*got {columns[0]} to'
    ):
        scene.read((0, 5), columns)


def write_bands(
    folder: Path, names: dict[str, str], height: int = 12, width: int = 18, **kw: object
) -> dict[str, np.ndarray]:
    """Write one file per band, 20 m and 60 m bands in their own resolution."""
    images = {}
    for i, (name, file) in enumerate(names.items()):
        factor = {'B01': 6, 'B09': 6, 'B10': 6}.get(name, 2)
        factor = 1 if name in BAND_SETS['s2-10m'] else factor
        shape = -(-height // factor), -(-width // factor)
        images[name] = noise(1, *shape, seed=i)[0]
        write(folder / file, images[name][None], transform=place(10 * factor), **kw)
    return images


def test_coarse_bands_are_repeated(tmp_path: Path) -> None:
    images = write_bands(tmp_path, {name: f'x_{name}.tif' for name in S2})
    scene = open_scene(tmp_path, bands=['s2'])
    image, valid = read_all(scene)
    assert (scene.grid.height, scene.grid.width) == (12, 18)
    for channel, name in zip(image, scene.bands, strict=True):
        factor = 12 // images[name].shape[0]
        whole = images[name].repeat(factor, 0).repeat(factor, 1)
        assert np.array_equal(channel, whole), name
    assert valid.all()
    assert np.array_equal(scene.read((5, 8), (7, 17))[0], image[:, 5:8, 7:17])


def test_coarse_bands_agree_with_gdal(tmp_path: Path) -> None:
    grid = ROTATED @ Affine.translation(0.0, 0.0)
    fine = write(tmp_path / 'x_B02.tif', noise(1, 13, 17), transform=grid)
    coarse = noise(1, 7, 9, seed=5)
    coarse_grid = grid @ Affine.scale(2)
    write(tmp_path / 'x_B11.tif', coarse, transform=coarse_grid)
    expected = np.zeros((13, 17), np.float32)
    reproject(
        coarse[0].astype(np.float32),
        expected,
        src_transform=coarse_grid,
        src_crs=UTM32,
        dst_transform=grid,
        dst_crs=UTM32,
        resampling=Resampling.nearest,
    )
    image = images_of(open_scene(tmp_path, bands=['B02', 'B11']))
    assert np.array_equal(image[1], expected)
    assert np.array_equal(image[0], read_whole(fine)[0])


def test_the_grid_is_that_of_10_m_even_if_only_20_m_are_read(tmp_path: Path) -> None:
    names = {name: f'x_{name}.tif' for name in ('B02', 'B11')}
    images = write_bands(tmp_path, names)
    scene = open_scene(tmp_path, bands=['B11'])
    assert (scene.grid.height, scene.grid.width) == (12, 18)
    assert np.array_equal(images_of(scene)[0], images['B11'].repeat(2, 0).repeat(2, 1))
    (tmp_path / 'x_B02.tif').unlink()
    scene = open_scene(tmp_path, bands=['B11'])
    assert np.array_equal(images_of(scene)[0], images['B11'])


def test_a_last_coarse_pixel_that_is_cut_off_is_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / 'x_B02.tif', noise(1, 13, 17))
    coarse = noise(1, 6, 8, seed=3)[0]
    write(tmp_path / 'x_B11.tif', coarse[None], transform=place(20))
    image, valid = read_all(open_scene(tmp_path, bands=['B02', 'B11']))
    rows, columns = np.arange(13) // 2, np.arange(17) // 2
    expected = coarse[rows.clip(max=5)[:, None], columns.clip(max=7)]
    assert np.array_equal(image[1], expected)
    assert valid.all()


def test_the_finest_of_several_resolutions(tmp_path: Path) -> None:
    fine = write(tmp_path / 'x_B02_10m.tif', noise(1, 12, 18))
    write(tmp_path / 'x_B02_20m.tif', noise(1, 6, 9, seed=2), transform=place(20))
    image = images_of(open_scene(tmp_path, bands=['B02']))
    assert np.array_equal(image, read_whole(fine))


def test_bands_of_several_stacks(tmp_path: Path) -> None:
    fine = constant(['B08', 'B02'], 6, 8)
    coarse = constant(['B12', 'B11'], 3, 4)
    stacks = [
        write(tmp_path / 'fine.tif', fine, descriptions=['B08', 'B02']),
        write(
            tmp_path / 'coarse.tif',
            coarse,
            transform=place(20),
            descriptions=['B12', 'B11'],
        ),
    ]
    scene = open_scene(stacks, bands=['B11', 'B02', 'B08', 'B12'])
    image = images_of(scene)
    assert image[:, 5, 7].tolist() == [2, 8, 12, 13]


def test_sentinel_1_on_the_same_pixels_is_not_resampled(tmp_path: Path) -> None:
    s2 = write_s2(tmp_path / 's2.tif', 20, 30)
    larger = decibels(40, 50)
    s1 = write(tmp_path / 's1.tif', larger, transform=place(dx=-70, dy=50))
    scene = open_scene(s2, s1, bands=['B02', 's1'])
    assert np.array_equal(images_of(scene)[1:], larger[:, 5:25, 7:37])
    assert not any('warped' in note for note in scene.notes)


def test_outside_of_sentinel_1_there_are_no_data(tmp_path: Path) -> None:
    s2 = write_s2(tmp_path / 's2.tif', 20, 30)
    smaller = decibels(10, 12)
    s1 = write(tmp_path / 's1.tif', smaller, transform=place(dx=100, dy=-40))
    image, valid = read_all(open_scene(s2, s1, bands=['B02', 's1']))
    inside = np.zeros((20, 30), bool)
    inside[4:14, 10:22] = True
    assert np.array_equal(valid, inside)
    assert np.array_equal(image[1:, 4:14, 10:22], smaller)
    assert np.isnan(image[1:, ~inside]).all()
    window, valid = open_scene(s2, s1, bands=['s1', 'B02']).read((15, 20), (0, 5))
    assert not valid.any()
    assert np.isfinite(window[0]).all()


def test_one_file_per_polarisation(tmp_path: Path) -> None:
    image = decibels(8, 9)
    write(tmp_path / 'x_VH.tif', image[1:])
    write(tmp_path / 'x_VV.tif', image[:1])
    assert np.array_equal(images_of(open_scene(s1=tmp_path, bands=['s1'])), image)


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'uint16', 'int32', 'float64'])
def test_types(tmp_path: Path, dtype: str) -> None:
    image = noise(13, 5, 6).astype(dtype)
    path = write(tmp_path / 'a.tif', image)
    assert np.array_equal(images_of(open_scene(path, bands=['s2'])), image)


NODATA = [-9999, 65535, 3.4e38, -3.4028234663852886e38, -1.7976931348623157e308, np.nan]


@pytest.mark.parametrize('nodata', NODATA)
def test_declared_no_data_in_any_band(tmp_path: Path, nodata: float) -> None:
    image = decibels(5, 6).astype('float64')
    image[1, 2, 3] = nodata
    image[0, 4, 0] = nodata
    path = write(tmp_path / 'a.tif', image, nodata=nodata)
    read, valid = read_all(open_scene(s1=path, bands=['s1']))
    assert np.argwhere(~valid).tolist() == [[2, 3], [4, 0]]
    assert np.argwhere(np.isnan(read)).tolist() == [[0, 4, 0], [1, 2, 3]]


@pytest.mark.parametrize('nodata', [0, None])
def test_zero_is_no_data_if_all_bands_of_a_sensor_are(
    tmp_path: Path, nodata: float | None
) -> None:
    image = noise(13, 5, 6)
    image[:, 1, 1] = 0
    image[:12, 2, 2] = 0
    s2 = write(tmp_path / 's2.tif', image, nodata=nodata)
    radar = decibels(5, 6)
    radar[:, 3, 3] = 0
    radar[0, 4, 4] = 0
    radar[:, 0, 5] = 5, -5
    s1 = write(tmp_path / 's1.tif', radar, nodata=nodata)
    _, valid = read_all(open_scene(s2, s1, bands=['s2', 's1']))
    assert np.argwhere(~valid).tolist() == [[1, 1], [3, 3]]
    _, valid = read_all(open_scene(s2, s1, bands=['s2-10m', 's1']))
    assert np.argwhere(~valid).tolist() == [[1, 1], [2, 2], [3, 3]]
    _, valid = read_all(open_scene(s2, s1, bands=['B12']))
    assert np.argwhere(~valid).tolist() == [[1, 1]]


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_data(tmp_path: Path, value: float) -> None:
    radar = decibels(5, 6)
    radar[1, 2, 3] = value
    s1 = write(tmp_path / 's1.tif', radar)
    _, valid = read_all(open_scene(s1=s1, bands=['s1']))
    assert np.argwhere(~valid).tolist() == [[2, 3]]
    _, valid = read_all(open_scene(s1=s1, bands=['VV']))
    assert valid.all()


def test_a_mask_in_the_file_counts(tmp_path: Path) -> None:
    path = write_s2(tmp_path / 'a.tif', 5, 6)
    mask = np.full((5, 6), 255, np.uint8)
    mask[3, 1] = 0
    with rasterio.open(path, 'r+') as raster:
        raster.write_mask(mask)
    image, valid = read_all(open_scene(path, bands=['s2']))
    assert np.argwhere(~valid).tolist() == [[3, 1]]
    assert np.isnan(image[:, 3, 1]).all()


def test_an_alpha_band_is_a_mask(tmp_path: Path) -> None:
    radar = np.concatenate([decibels(5, 6), np.full((1, 5, 6), 255, np.float32)])
    radar[2, 0, 4] = 0
    path = write(tmp_path / 'a.tif', radar)
    with rasterio.open(path, 'r+') as raster:
        raster.colorinterp = [
            ColorInterp.gray,
            ColorInterp.undefined,
            ColorInterp.alpha,
        ]
    image, valid = read_all(open_scene(s1=path, bands=['s1']))
    assert np.argwhere(~valid).tolist() == [[0, 4]]
    assert np.array_equal(image[:, valid], radar[:2, valid])


def test_offset(tmp_path: Path) -> None:
    image = noise(13, 5, 6)
    image[:, 1, 1] = 0
    image[3, 2, 2] = 0
    image[:, 3, 3] = 900
    path = write(tmp_path / 'a.tif', image)
    read, valid = read_all(open_scene(path, bands=['s2'], s2_offset=-1000))
    assert np.argwhere(~valid).tolist() == [[1, 1]]
    expected = np.where(image == 0, 0, image.astype(np.float32) - 1000)
    assert np.array_equal(read, expected)
    assert read[0, 3, 3] == -100


def test_linear_power(tmp_path: Path) -> None:
    power = (10 ** (decibels(5, 6) / 10)).astype(np.float32)
    power[1, 2, 3], power[0, 1, 1], power[:, 4, 4] = -0.1, 0, 0
    path = write(tmp_path / 'a.tif', power)
    image, valid = read_all(open_scene(s1=path, bands=['s1'], s1_power=True))
    assert np.argwhere(~valid).tolist() == [[1, 1], [2, 3], [4, 4]]
    with np.errstate(invalid='ignore', divide='ignore'):
        expected = 10 * np.log10(power.astype(np.float64))
    assert np.allclose(image[:, valid], expected[:, valid], atol=1e-4)
    assert not np.isinf(image).any()


def test_windows_make_the_whole(tmp_path: Path) -> None:
    s2 = write_s2(tmp_path / 's2.tif', 33, 47, tiled=True, blockxsize=16, blockysize=16)
    radar = decibels(33, 47)
    radar[:, 5:9, 30:] = np.nan
    s1 = write(tmp_path / 's1.tif', radar)
    scene = open_scene(s2, s1, bands=['s2', 's1'])
    image, valid = read_all(scene)
    for top in range(0, 33, 10):
        for left in range(0, 47, 7):
            rows, columns = (
                slice(top, min(top + 10, 33)),
                slice(left, min(left + 7, 47)),
            )
            part, ok = scene.read(rows, columns)
            assert np.array_equal(part, image[:, rows, columns], equal_nan=True)
            assert np.array_equal(ok, valid[rows, columns])


def test_a_scene_travels(tmp_path: Path) -> None:
    scene = open_scene(write_s2(tmp_path / 'a.tif'), bands=['s2'])
    image = images_of(scene)
    copy = pickle.loads(pickle.dumps(scene))
    assert copy == scene
    assert np.array_equal(images_of(copy), image)
    scene.close()
    assert np.array_equal(images_of(scene), image)


def _read_row(scene: Scene, row: int) -> np.ndarray:
    return scene.read((row, row + 1), (0, scene.grid.width))[0]


@pytest.mark.parametrize(
    'context',
    [
        pytest.param(multiprocessing.get_context('fork'), id='fork'),
        pytest.param(CONTEXT, id='new', marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings('ignore:.*multi-threaded.*:DeprecationWarning')
def test_processes_read_what_one_reads(tmp_path: Path, context: BaseContext) -> None:
    path = write_s2(tmp_path / 'a.tif', 64, 50, compress='deflate')
    scene = open_scene(path, bands=['s2'])
    image = images_of(scene)
    with context.Pool(2) as pool:
        rows = pool.starmap(_read_row, [(scene, row) for row in range(64)])
    assert np.array_equal(np.concatenate(rows, axis=1), image)


def test_threads_read_what_one_reads(tmp_path: Path) -> None:
    path = write_s2(tmp_path / 'a.tif', 64, 50, compress='deflate', blockysize=1)
    scene = open_scene(path, bands=['s2'])
    with ThreadPoolExecutor(4) as pool:
        rows = pool.map(lambda row: _read_row(scene, row), [*range(64)] * 4)
        read = np.concatenate(list(rows), axis=1)
    assert np.array_equal(read, np.concatenate([images_of(scene)] * 4, axis=1))


def test_files_stay_open(tmp_path: Path) -> None:
    path = write_s2(tmp_path / 'a.tif')
    scene = open_scene(path, bands=['B02'])
    first = scene.read((0, 5), (0, 5))[0]
    path.unlink()
    assert np.array_equal(scene.read((0, 5), (0, 5))[0], first)
    scene.close()
    with pytest.raises(RuntimeError, match=r'damaged or missing one: .*a\.tif'):
        scene.read((0, 5), (0, 5))


def test_virtual_paths(tmp_path: Path) -> None:
    path = write_s2(tmp_path / 'scene.tif')
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.write(path, 'inner/scene.tif')
    expected = read_whole(path)
    for name in (
        f'/vsizip/{tmp_path}/a.zip/inner/scene.tif',
        f'/vsizip/{tmp_path}/a.zip/inner',
        f'/vsizip/{tmp_path}/a.zip',
        str(tmp_path / 'a.zip'),
        f'/vsisubfile/0_{path.stat().st_size},{path}',
    ):
        scene = open_scene(name, bands=['s2'])
        assert np.array_equal(images_of(scene), expected), name
    assert open_scene(str(tmp_path / 'a.zip'), bands=['s2']).name == 'scene'


def test_a_vrt_of_bands(tmp_path: Path) -> None:
    path = write_s2(tmp_path / 'scene.tif')
    with rasterio.MemoryFile(ext='.vrt') as memory:
        copy(path, memory.name, driver='VRT')
        (tmp_path / 'other.vrt').write_bytes(memory.read())
    scene = open_scene(tmp_path / 'other.vrt', bands=['s2'])
    assert np.array_equal(images_of(scene), read_whole(path))
    assert scene.name == 'other'


@pytest.mark.parametrize('bands', [['s2'], ['B03', 'B12'], ['B12'], ['B03']])
def test_bands_of_a_vrt_may_differ_in_type(tmp_path: Path, bands: list[str]) -> None:
    stored = noise(13, 40, 50)
    real = stored[-1:].astype(np.float32)
    real[0, 5:9, 10:30] = np.nan
    with rasterio.MemoryFile(ext='.vrt') as memory:
        copy(write(tmp_path / 'whole.tif', stored), memory.name, driver='VRT')
        head, between, last = memory.read().decode().rpartition('<VRTRasterBand')
    write(tmp_path / 'real.tif', real)
    last = last.replace('UInt16', 'Float32').replace('whole.tif', 'real.tif')
    last = last.replace('<SourceBand>13<', '<SourceBand>1<')
    (tmp_path / 'mixed.vrt').write_text(head + between + last)
    image, valid = read_all(open_scene(tmp_path / 'mixed.vrt', bands=bands))
    expected = np.concatenate([stored[:-1].astype(np.float32), real])
    chosen = S2 if bands == ['s2'] else bands
    np.testing.assert_array_equal(image, expected[[S2.index(b) for b in chosen]])
    assert np.array_equal(valid, np.isfinite(image).all(axis=0))


def test_masks_of_single_bands_count(tmp_path: Path) -> None:
    mask = np.full((1, 40, 50), 255, np.uint8)
    mask[0, 5:9, 10:30] = 0
    write(tmp_path / 'mask.tif', mask)
    source = (
        '<SimpleSource><SourceFilename relativeToVRT="1">mask.tif</SourceFilename>'
        '<SourceBand>1</SourceBand></SimpleSource>'
    )
    element = f'<VRTRasterBand dataType="Byte">{source}</VRTRasterBand>'
    with rasterio.MemoryFile(ext='.vrt') as memory:
        copy(write_s2(tmp_path / 'whole.tif'), memory.name, driver='VRT')
        head, end, rest = memory.read().decode().rpartition('</VRTRasterBand>')
    masked = f'{head}<MaskBand>{element}</MaskBand>{end}{rest}'
    (tmp_path / 'masked.vrt').write_text(masked)
    for bands, expected in ((['s2'], mask[0] > 0), (['B12'], mask[0] > 0)):
        image, valid = read_all(open_scene(tmp_path / 'masked.vrt', bands=bands))
        assert np.array_equal(valid, expected)
        assert np.array_equal(np.isfinite(image), [expected] * len(image))
    assert read_all(open_scene(tmp_path / 'masked.vrt', bands=['B02']))[1].all()


def test_compressed_blocks_have_room_until_the_next_rows(tmp_path: Path) -> None:
    blocks = {'tiled': True, 'blockxsize': 32, 'blockysize': 32}
    s2 = write_s2(tmp_path / 's2.tif', 200, 53, compress='deflate', **blocks)
    s1 = write_s1(tmp_path / 's1.tif', 200, 53)
    scene = open_scene(s2, s1, ['s2', 's1'])
    # Any 40 rows touch 3 blocks of 32 rows, of 13 bands; the radar image is plain.
    assert scene.estimate_blocks(40) == 3 * 32 * 53 * 13 * 2
    assert scene.estimate_blocks(1000) == 200 * 53 * 13 * 2
    assert open_scene(None, s1, ['s1']).estimate_blocks(40) == 0


def test_what_the_environment_says_of_the_cache_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = get_gdal_config('GDAL_CACHEMAX')
    monkeypatch.delenv('GDAL_CACHEMAX', raising=False)
    try:
        limit_cache(10_000_000)
        assert get_gdal_config('GDAL_CACHEMAX') == 10_000_000
        monkeypatch.setenv('GDAL_CACHEMAX', '77')
        limit_cache(20_000_000)
        assert get_gdal_config('GDAL_CACHEMAX') == 10_000_000
    finally:
        set_gdal_config('GDAL_CACHEMAX', before)

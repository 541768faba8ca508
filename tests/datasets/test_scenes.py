"""Scenes: every value where it belongs, and nothing where there is nothing."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from pyproj import CRS
from rasterio import Affine
from torchgeo.datasets import DatasetNotFoundError, Sentinel1, Sentinel2
from torchgeo.samplers import GriddedPatchSampler, RandomPatchSampler

from dfc2020_geo.bands import BAND_SETS, BANDS
from dfc2020_geo.classes import IGBP_TO_DFC2020, IGNORE_INDEX
from dfc2020_geo.datasets import (
    JoinedScenes,
    LabelScenes,
    Sentinel1Scenes,
    Sentinel2Scenes,
    open_scenes,
)
from tests.support.scene_rasters import Place, codes, s1_image, s2_image, write

NORTH = Place('EPSG:32632', 412345.67, 5390000.81, 41, 57)
SOUTH = Place('EPSG:32733', 612000.125, 8123456.7, 67, 33)
PLACES = pytest.mark.parametrize('place', [NORTH, SOUTH], ids=['north', 'south'])


def _write_scene(
    folder: Path, place: Place, s1: Place | None = None, labels: Place | None = None
) -> tuple[Path, Path, Path]:
    s1, labels = s1 or place, labels or place
    return (
        write(folder / 's2.tif', s2_image(place), place),
        write(folder / 's1.tif', s1_image(s1, place), s1),
        write(folder / 'labels.tif', codes(labels, place), labels),
    )


def _join(folder: Path, place: Place, **others: Place) -> JoinedScenes:
    s2, s1, labels = _write_scene(folder, place, **others)
    return Sentinel2Scenes(s2) & Sentinel1Scenes(s1) & LabelScenes(labels)


def _expected_mask(place: Place) -> np.ndarray:
    found = codes(place)[0].astype(int)
    return np.where(found == 0, IGNORE_INDEX, found - 1)


def _position(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels, as Sentinel-2 has them."""
    return image[1].numpy() - 1, image[0].numpy() - 1


def _check_patch(sample: dict[str, torch.Tensor], place: Place, size: int) -> int:
    """Compare a patch with where its own Sentinel-2 says that it lies."""
    image, mask = sample['image'], sample['mask']
    assert image.shape == (15, size, size)
    assert image.dtype == torch.float32
    assert mask.dtype == torch.int64
    inside = image[0].isfinite().numpy()
    rows, columns = (values[inside].astype(int) for values in _position(image))
    there = np.argwhere(inside)
    # One step in the patch is one pixel of the scene, from corner to corner.
    assert np.array_equal(
        there - there[0], np.stack([rows, columns], 1) - [rows[0], columns[0]]
    )
    np.testing.assert_array_equal(mask[inside], _expected_mask(place)[rows, columns])
    np.testing.assert_allclose(image[13][inside], -columns - 5, atol=0.01)
    np.testing.assert_allclose(image[14][inside], -rows - 5, atol=0.01)
    for number in range(3, 14):
        assert (image[number - 1][inside] == 100 * number).all()
    assert (mask[~inside] == IGNORE_INDEX).all()
    return int(inside.sum())


@PLACES
def test_torchgeos_grid_gives_each_pixel_its_own_values(
    place: Place, tmp_path: Path
) -> None:
    scene = _join(tmp_path, place)
    queries = list(GriddedPatchSampler(scene, size=16))
    assert len(queries) > 4
    inside = [_check_patch(scene[query], place, 16) for query in queries]
    assert sum(inside) == place.height * place.width  # edges reach beyond the scene
    assert min(inside) < 16 * 16


@PLACES
def test_torchgeos_random_patches_are_aligned(place: Place, tmp_path: Path) -> None:
    scene = _join(tmp_path, place)
    sampler = RandomPatchSampler(scene, size=13, length=20, generator=0)
    for query in sampler:
        assert _check_patch(scene[query], place, 13) == 13 * 13


def test_a_rectangle_between_pixels_is_moved_to_the_nearest(tmp_path: Path) -> None:
    scene = _join(tmp_path, NORTH)
    left, top = NORTH.x + 84.9, NORTH.y - 115.2
    sample = scene[left : left + 50, top - 50 : top]
    assert sample['image'][0, 0].tolist() == [9, 10, 11, 12, 13]
    assert sample['image'][1, :, 0].tolist() == [13, 14, 15, 16, 17]
    bounds = sample['bounds']
    assert bounds.dtype == torch.float64
    assert bounds[:2].tolist() == [NORTH.x + 80, NORTH.x + 130]


@pytest.mark.parametrize(
    's1',
    [
        Place('EPSG:32632', NORTH.x - 200.3, NORTH.y + 107.9, 60, 65, 15.0),
        Place('EPSG:32632', NORTH.x - 203, NORTH.y + 101, 70, 90),
        Place('EPSG:32633', -29431.3, 5414400.9, 60, 75),
        Place('EPSG:4326', 7.809, 48.6572, 42, 90, 0.0001),
    ],
    ids=['15 m', 'shifted', 'other zone', 'degrees'],
)
def test_sentinel_1_on_another_grid_is_interpolated(s1: Place, tmp_path: Path) -> None:
    scene = _join(tmp_path, NORTH, s1=s1)
    image = scene[NORTH.x : NORTH.x + 570, NORTH.y - 410 : NORTH.y]['image']
    covered = image[13].isfinite()
    assert covered.float().mean() > 0.3
    rows, columns = _position(image)
    # A ramp between pixels: the nearest one would be off by up to half a pixel.
    for channel, position in ((13, columns), (14, rows)):
        error = image[channel].numpy() + position + 5
        assert np.abs(error[covered]).max() < 0.05


def test_a_patch_is_what_is_cut_from_the_whole(tmp_path: Path) -> None:
    turned = Place('EPSG:32633', -29431.3, 5414400.9, 60, 75)
    scene = _join(tmp_path, NORTH, s1=turned, labels=turned)
    whole = scene[:, :]
    left, top = scene.grid.transform @ (0, 0)
    assert (
        whole['image'].shape[1:]
        == scene[left : left + 570, top - 410 : top]['image'].shape[1:]
    )
    rows, columns = (values.astype(int) for values in _position(whole['image']))
    for row, column, size in ((0, 0, 7), (5, 20, 16), (11, 3, 1), (20, 30, 9)):
        x, y = left + 10 * column, top - 10 * row
        patch = scene[x : x + 10 * size, y - 10 * size : y]
        cut = np.s_[row - rows[0, 0] :, column - columns[0, 0] :]
        for key in ('image', 'mask'):
            same = whole[key][..., *cut][..., :size, :size]
            torch.testing.assert_close(
                patch[key], same, rtol=0, atol=1e-4, equal_nan=True
            )


def test_labels_of_another_size_are_the_nearest(tmp_path: Path) -> None:
    coarse = Place(NORTH.crs, NORTH.x - 30, NORTH.y + 60, 20, 25, 30.0)
    path = write(tmp_path / 'l.tif', codes(coarse), coarse)
    s2 = Sentinel2Scenes(write(tmp_path / 's2.tif', s2_image(NORTH), NORTH))
    sample = (s2 & LabelScenes(path))[NORTH.x : NORTH.x + 570, NORTH.y - 410 : NORTH.y]
    rows, columns = np.indices((41, 57))
    found = codes(coarse)[0].astype(int)[(rows + 6) // 3, (columns + 3) // 3]
    expected = np.where(found == 0, IGNORE_INDEX, found - 1)
    np.testing.assert_array_equal(sample['mask'], expected)


@pytest.mark.parametrize('order', [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_channels_are_in_the_order_of_the_bands(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    s2, s1, labels = _write_scene(tmp_path, NORTH)
    datasets = [Sentinel2Scenes(s2), Sentinel1Scenes(s1), LabelScenes(labels)]
    first, second, third = (datasets[i] for i in order)
    scene = first & second & third
    assert scene.bands == tuple(BANDS)
    image = scene[NORTH.x : NORTH.x + 100, NORTH.y - 100 : NORTH.y]['image']
    assert image[2:13, 0, 0].tolist() == [100.0 * i for i in range(3, 14)]
    assert image[13:, 0, 0].tolist() == [-5, -5]


def test_bands_are_found_by_their_descriptions(tmp_path: Path) -> None:
    image = s2_image(NORTH)[::-1]
    names = tuple(f'b{name[1:].lstrip("0").lower()}' for name in BAND_SETS['s2'][::-1])
    path = write(tmp_path / 'turned.tif', image, NORTH, names=names)
    few = write(tmp_path / 'few.tif', image[:3], NORTH, names=names[:3])
    for file, bands in ((path, ['B04', 'B8A', 'B12']), (few, ['B10', 'B12'])):
        sample = Sentinel2Scenes(file, bands=bands)[NORTH.x : NORTH.x + 10, :]
        numbers = [100.0 * BANDS[name].file_index for name in bands]
        assert sample['image'][:, 0, 0].tolist() == numbers


def test_bands_are_named_as_people_name_them(tmp_path: Path) -> None:
    names = ('B4, central wavelength 665 nm', 'nir', 'B2 - Blue')
    path = write(tmp_path / 's2.tif', s2_image(NORTH)[2:5], NORTH, names=names)
    image = Sentinel2Scenes(path, bands=['B02', 'B04', 'B08'])[:, :]['image']
    assert image[:, 0, 0].tolist() == [500, 300, 400]
    s1 = s1_image(NORTH, NORTH)
    names = ('Sigma0_VH_db', 'Sigma0_VV_db')
    path = write(tmp_path / 's1.tif', s1[::-1], NORTH, names=names)
    np.testing.assert_array_equal(Sentinel1Scenes(path)[:, :]['image'], s1)
    twice = write(tmp_path / 'twice.tif', s1, NORTH, names=('VV', 'VV'))
    with pytest.raises(
        RuntimeError, match=r'described as VV, .* got 2 bands \(VV, VV\) in'
    ):
        Sentinel1Scenes(twice, bands=['VV'])


def test_other_bands_than_named_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.tif', s2_image(NORTH)[:12], NORTH)
    message = rf'13 in their usual order, got 12 .* in {re.escape(str(path))}; describe'
    with pytest.raises(RuntimeError, match=message):
        Sentinel2Scenes(tmp_path)
    with pytest.raises(ValueError, match=r"Expected bands of .* got \['VV'\]"):
        Sentinel2Scenes(path, bands=['B02', 'VV'])


def test_scenes_of_two_crs_are_not_warped_in_silence(tmp_path: Path) -> None:
    for name, place in (('a', NORTH), ('b', SOUTH)):
        write(tmp_path / f'{name}.tif', s2_image(place), place)
    with pytest.raises(ValueError, match=r'of one CRS, got EPSG:32632 of .*a.tif and'):
        Sentinel2Scenes(tmp_path)
    Sentinel2Scenes(tmp_path, crs=CRS.from_epsg(4326))


@pytest.mark.parametrize(('right', 'down'), [(1, -1), (-1, 1), (-1, -1)])
def test_a_flipped_raster_shows_the_same_ground(
    right: int, down: int, tmp_path: Path
) -> None:
    expected = _join(tmp_path / 'straight', NORTH)
    corner = Affine.translation(57 * (right < 0), 41 * (down < 0))
    for path in _write_scene(tmp_path / 'flipped', NORTH):
        with rasterio.open(path, 'r+') as raster:
            raster.write(raster.read()[:, ::down, ::right])
            raster.transform = NORTH.transform @ corner @ Affine.scale(right, down)
    s2, s1, labels = (tmp_path / 'flipped' / f'{k}.tif' for k in ('s2', 's1', 'labels'))
    flipped = Sentinel2Scenes(s2) & Sentinel1Scenes(s1) & LabelScenes(labels)
    for query in GriddedPatchSampler(expected, size=16):
        one, other = expected[query], flipped[query]
        assert torch.equal(one['mask'], other['mask'])
        torch.testing.assert_close(
            one['image'], other['image'], rtol=0, atol=1e-4, equal_nan=True
        )


def test_pixels_need_not_be_square(tmp_path: Path) -> None:
    paths = _write_scene(tmp_path, NORTH)
    for path in paths:
        with rasterio.open(path, 'r+') as raster:
            raster.transform = NORTH.transform @ Affine.scale(1, 2)
    scene = Sentinel2Scenes(paths[0]) & Sentinel1Scenes(paths[1])
    scene &= LabelScenes(paths[2])
    assert scene.res == (10, 20)
    queries = list(GriddedPatchSampler(scene, size=16))
    assert sum(_check_patch(scene[q], NORTH, 16) for q in queries) == 41 * 57


def test_a_turned_image_can_only_follow_another(tmp_path: Path) -> None:
    s2, s1, _ = _write_scene(tmp_path, NORTH)
    with rasterio.open(s1, 'r+') as raster:
        raster.transform = NORTH.transform @ Affine.rotation(20)
    turned = Sentinel1Scenes(s1)
    image = (Sentinel2Scenes(s2) & turned)[:, :]['image']
    assert 0 < int(image[13].isfinite().sum()) < 41 * 57
    with pytest.raises(ValueError, match=r'not to be turned, got .*s1.tif.* gdalwarp'):
        Sentinel1Scenes(s1) & Sentinel2Scenes(s2)


def test_pixels_without_data_are_ignored(tmp_path: Path) -> None:
    s2, s1 = s2_image(NORTH), s1_image(NORTH, NORTH)
    labels = np.full((1, 41, 57), 1, np.uint8)
    s2[:, :5] = 0
    s1[:, -4:] = np.nan
    s1[:, 20, :3] = 0
    s1[0, 30, :3] = np.nan  # the other polarisation is there: no data, as in a map
    labels[:, :, 50:] = 0
    labels[:, :, :2] = 99
    scene = (
        Sentinel2Scenes(write(tmp_path / 's2.tif', s2, NORTH))
        & Sentinel1Scenes(write(tmp_path / 's1.tif', s1, NORTH))
        & LabelScenes(write(tmp_path / 'l.tif', labels, NORTH, nodata=99))
    )
    expected = np.zeros((41, 57), int)
    for hole in np.s_[:5, :], np.s_[-4:, :], np.s_[20, :3], np.s_[30, :3]:
        expected[hole] = IGNORE_INDEX
    expected[:, 50:] = expected[:, :2] = IGNORE_INDEX
    np.testing.assert_array_equal(scene[:, :]['mask'], expected)


def test_declared_nodata_of_images_is_nan_and_never_zero_db(tmp_path: Path) -> None:
    image = s1_image(NORTH, NORTH)
    image[:, 3:6, 7:9] = -9999
    scenes = Sentinel1Scenes(write(tmp_path / 's1.tif', image, NORTH, nodata=-9999))
    found = scenes[NORTH.x - 100 : NORTH.x + 570, :]['image']
    assert found[:, 3:6, 17:19].isnan().all()
    assert found[:, :, :10].isnan().all()  # outside
    assert int(found.isnan().sum()) == 2 * (3 * 2 + 41 * 10)
    # Neither leaks into its neighbours where it is interpolated.
    moved = scenes[NORTH.x + 5 : NORTH.x + 505, NORTH.y - 405 : NORTH.y - 5]['image']
    assert float(moved[moved.isfinite()].min()) > -70
    assert float(moved[moved.isfinite()].max()) <= -5


def test_files_of_one_dataset_are_put_together(tmp_path: Path) -> None:
    right = Place(NORTH.crs, NORTH.x + 570, NORTH.y, 41, 30)
    write(tmp_path / 'a.tif', s1_image(NORTH, NORTH), NORTH)
    write(tmp_path / 'b.tif', s1_image(right, NORTH), right)
    (tmp_path / 'a.tif.aux.xml').write_text('<PAMDataset></PAMDataset>')
    image = Sentinel1Scenes(tmp_path)[:, :]['image']
    np.testing.assert_array_equal(image[0, 5], -np.arange(87) - 5)


def test_igbp_codes_become_classes(tmp_path: Path) -> None:
    table = np.array([*range(18), 255], np.uint8)
    place = Place('EPSG:32632', 5e5, 5e6, 1, 19)
    path = write(tmp_path / 'lc.tif', np.stack([table[None]] * 4), place)
    labels = LabelScenes(path, legend='igbp', scheme='dfc2020-no-savanna')
    without = {0: IGNORE_INDEX, 1: 0, 2: 1, 3: IGNORE_INDEX}
    expected = [without.get(c, c - 2) for c in IGBP_TO_DFC2020]
    assert labels[:, :]['mask'][0].tolist() == [*expected, IGNORE_INDEX]
    with pytest.raises(RuntimeError, match=r'lc.tif: Expected dfc2020 codes .* got'):
        LabelScenes(path)[:, :]


def test_what_is_no_scene_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError):
        Sentinel2Scenes(tmp_path)
    bare = Place('', 5e5, 5e6, 5, 5)
    path = write(tmp_path / 'bare.tif', s2_image(bare), bare)
    with pytest.raises(RuntimeError, match=r'georeferenced raster, got .*bare.tif'):
        Sentinel2Scenes(path)
    with pytest.raises(FileNotFoundError, match=r'got nothing at .*missing.tif; corr'):
        Sentinel2Scenes([path, tmp_path / 'missing.tif'])
    broken = tmp_path / 'broken.tif'
    broken.write_bytes(b'II*\0' + bytes(50))
    with pytest.raises(RuntimeError, match=r'readable raster, .*broken.tif'):
        Sentinel2Scenes(broken)
    with pytest.raises(ValueError, match=r"legend .*'igbp', 'dfc2020'.*'modis'"):
        LabelScenes(path, legend='modis')  # ty: ignore[invalid-argument-type]


def test_values_that_are_no_codes_and_no_backscatter_are_refused(
    tmp_path: Path,
) -> None:
    halves = codes(NORTH).astype(np.float32) + 0.5
    labels = LabelScenes(write(tmp_path / 'l.tif', halves, NORTH))
    with pytest.raises(RuntimeError, match=r'l.tif: .* codes of an integer type'):
        labels[:, :]
    complex_ = write(tmp_path / 'slc.tif', s1_image(NORTH, NORTH) + 0j, NORTH)
    with pytest.raises(RuntimeError, match=r'real numbers, got complex64 in .*slc'):
        Sentinel1Scenes(complex_)


def test_what_cannot_be_joined_is_named(tmp_path: Path) -> None:
    s2, s1, labels = _write_scene(tmp_path, NORTH)
    images, masks = Sentinel2Scenes(s2), LabelScenes(labels)
    with pytest.raises(ValueError, match=r'labels once, got 2 datasets'):
        images & masks & LabelScenes(labels)
    with pytest.raises(ValueError, match=r'each band once, got'):
        images & Sentinel2Scenes(s2)
    short = Sentinel1Scenes(s1, transforms=lambda s: s | {'image': s['image'][:1]})
    with pytest.raises(ValueError, match=r"channel for each of \('VV', 'VH'\), got 1"):
        (images & short)[:, :]


def test_samples_are_drawn_in_the_colours_of_their_classes(tmp_path: Path) -> None:
    s2, s1, labels = _write_scene(tmp_path, NORTH)
    masks = LabelScenes(labels, scheme='dfc2020-no-savanna')
    joined = Sentinel2Scenes(s2) & masks
    assert joined.scheme is masks.scheme
    titles = {
        Sentinel2Scenes(s2): ['Image'],
        Sentinel1Scenes(s1): ['Image'],
        masks: ['Mask'],
        joined: ['Image', 'Mask'],
    }
    for dataset, expected in titles.items():
        figure = dataset.plot(dataset[:, :])
        assert [axes.get_title() for axes in figure.axes] == expected


def _write_torchgeos(folder: Path, place: Place) -> None:
    for name, image in zip(BAND_SETS['s2'], s2_image(place), strict=True):
        path = folder / 's2' / f'T32TQM_20200601T100559_{name}.tif'
        write(path, image[None], place)
    for name, image in zip(('VV', 'VH'), s1_image(place, place), strict=True):
        stem = 'S1A_IW_20200105T052423_DVP_RTC10_G_sduned_1234'
        write(folder / 's1' / f'{stem}_{name}.tif', image[None], place)


def test_torchgeos_own_datasets_give_the_same_samples(tmp_path: Path) -> None:
    _write_torchgeos(tmp_path, NORTH)
    expected = _join(tmp_path / 'ours', NORTH)
    s2 = Sentinel2(tmp_path / 's2', res=10)
    s1 = Sentinel1(tmp_path / 's1')
    labels = LabelScenes(tmp_path / 'ours' / 'labels.tif')
    theirs = JoinedScenes(JoinedScenes(s1, s2), labels)
    assert theirs.bands == tuple(BANDS)
    for query in GriddedPatchSampler(expected, size=16):
        one, other = expected[query], theirs[query]
        assert torch.equal(one['mask'], other['mask'])
        # torchgeo alone would fill with 0 outside.
        np.testing.assert_array_equal(one['image'], other['image'])


def _open(folder: Path, bands: list[str], **changes: object) -> list[JoinedScenes]:
    arguments: dict[str, object] = {
        'images': {
            's2': (Sentinel2Scenes, folder / 's2'),
            's1': (Sentinel1Scenes, folder / 's1'),
        },
        'labels': folder / 'labels',
        'bands': bands,
        'scheme': 'dfc2020',
        'legend': 'dfc2020',
    }
    return open_scenes(**arguments | changes)  # ty: ignore[invalid-argument-type]


def _write_two_zones(folder: Path) -> None:
    for name, place in (('a', NORTH), ('b', SOUTH)):
        write(folder / 's2' / f'{name}.tif', s2_image(place), place)
        write(folder / 's1' / f'{name}.tif', s1_image(place, place), place)
        write(folder / 'labels' / f'{name}.tif', codes(place), place)


def test_each_scene_keeps_its_own_crs_and_pixels(tmp_path: Path) -> None:
    _write_two_zones(tmp_path)
    scenes = _open(tmp_path, ['s1', 's2'])
    assert [scene.crs.to_epsg() for scene in scenes] == [32632, 32733]
    for scene, place in zip(scenes, (NORTH, SOUTH), strict=True):
        sample = scene[:, :]
        assert sample['image'].shape == (15, place.height, place.width)
        assert sample['image'].isfinite().all()
        np.testing.assert_array_equal(sample['mask'], _expected_mask(place))


def test_a_scene_of_sentinel_1_alone_has_its_pixels(tmp_path: Path) -> None:
    _write_two_zones(tmp_path)
    images = {'s1': (Sentinel1Scenes, tmp_path / 's1')}
    scenes = _open(tmp_path, ['VH'], images=images)
    assert [scene.bands for scene in scenes] == [('VH',), ('VH',)]
    assert scenes[1].grid.height == SOUTH.height


def test_missing_and_doubtful_partners_are_named(tmp_path: Path) -> None:
    _write_two_zones(tmp_path)
    (tmp_path / 's1' / 'b.tif').rename(tmp_path / 'moved.tif')
    with pytest.raises(
        ValueError, match=r'Expected s1 that overlap s2 of .*b.tif, got none'
    ):
        _open(tmp_path, ['s1', 's2'])
    (tmp_path / 'moved.tif').rename(tmp_path / 's1' / 'later.tif')
    again = tmp_path / 's1' / 'earlier.tif'
    write(again, s1_image(SOUTH, SOUTH) - 30, SOUTH)
    with pytest.raises(ValueError, match=r'one file of s1 for .*b.tif, got .*earlier'):
        _open(tmp_path, ['s1', 's2'])
    again.rename(tmp_path / 's1' / 'b.tif')
    last = _open(tmp_path, ['s1', 's2'])[-1]
    assert float(last[:, :]['image'][13].max()) == -35


def test_neighbours_that_touch_a_scene_are_no_part_of_it(tmp_path: Path) -> None:
    # Away from the central meridian, boxes of degrees overlap.
    for row, column in np.ndindex(2, 2):
        x, y = 699_000.5 + 570 * column, 5.3e6 - 410 * row
        place = Place('EPSG:32632', x, y, 41, 57)
        write(tmp_path / 's2' / f'{row}{column}.tif', s2_image(place), place)
        write(tmp_path / 's1' / f's{row}{column}.tif', s1_image(place, place), place)
        write(tmp_path / 'labels' / f'l{row}{column}.tif', codes(place), place)
    scenes = _open(tmp_path, ['s1', 's2'])
    assert [[len(leaf) for leaf in scene.leaves] for scene in scenes] == [[1, 1, 1]] * 4
    (tmp_path / 'labels' / 'l11.tif').unlink()
    with pytest.raises(
        ValueError, match=r'labels that overlap s2 and s1 of .*11.tif, got'
    ):
        _open(tmp_path, ['s1', 's2'])


def test_labels_must_lie_where_all_images_do(tmp_path: Path) -> None:
    write(tmp_path / 's2' / 'a.tif', s2_image(NORTH), NORTH)
    left = Place(NORTH.crs, NORTH.x, NORTH.y, 41, 20)
    right = Place(NORTH.crs, NORTH.x + 300, NORTH.y, 41, 20)
    write(tmp_path / 's1' / 'a.tif', s1_image(left, NORTH), left)
    write(tmp_path / 'labels' / 'a.tif', codes(right), right)
    with pytest.raises(
        ValueError, match=r'labels that overlap s2 and s1 of .*a.tif, got'
    ):
        _open(tmp_path, ['s1', 's2'])


@pytest.mark.parametrize('dataset', [Sentinel2Scenes, Sentinel2])
def test_a_folder_without_rasters_is_named(dataset: type, tmp_path: Path) -> None:
    _write_two_zones(tmp_path)
    (tmp_path / 'empty').mkdir()
    images = {'s2': (dataset, tmp_path / 'empty')}
    message = rf'of s2 for {dataset.__name__} in .*empty, got none; name files'
    with pytest.raises(FileNotFoundError, match=message):
        _open(tmp_path, ['s2'], images=images)


def test_an_offset_leaves_pixels_without_data_alone(tmp_path: Path) -> None:
    image = s2_image(NORTH) + 1000
    image[:, :4] = 0
    write(tmp_path / 's2' / 'a.tif', image.astype(np.uint16), NORTH)
    write(tmp_path / 'labels' / 'a.tif', np.ones((1, 41, 57), np.uint8), NORTH)
    [scene] = _open(tmp_path, ['s2'], s2_offset=-1000.0)
    sample = scene[:, :]
    assert torch.equal(
        sample['image'][:, 4:], torch.tensor(s2_image(NORTH)[:, 4:]).float()
    )
    assert (sample['mask'][:4] == IGNORE_INDEX).all()
    assert (sample['mask'][4:] == 0).all()

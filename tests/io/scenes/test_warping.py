"""Sentinel-1 on another grid than Sentinel-2."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject, transform, transform_bounds

from dfc2020_geo.datasets import Sentinel1Scenes, Sentinel2Scenes
from dfc2020_geo.io.scenes import Scene, open_scene
from tests.support.scene_files import (
    ORIGIN,
    UTM32,
    UTM33,
    decibels,
    noise,
    place,
    write,
    write_s2,
)

ROTATED = Affine.translation(*ORIGIN) @ Affine.rotation(30) @ Affine.scale(10, -10)
SHAPE = (45, 61)


def centres(grid: Affine, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    a, b, c, d, e, f = grid[:6]
    return a * columns + b * rows + c, d * columns + e * rows + f


def source_grid(
    crs: str, res: tuple[float, float], grid: Affine, margin: int = 10
) -> tuple[Affine, tuple[int, int]]:
    """A grid in another CRS that holds the scene, its origin on no round number."""
    x, y = centres(grid, SHAPE)
    box = transform_bounds(UTM32, crs, x.min(), y.min(), x.max(), y.max())
    left, top = box[0] - (margin + 0.37) * res[0], box[3] + (margin + 0.61) * res[1]
    width = int((box[2] - left) / res[0]) + margin
    height = int((top - box[1]) / res[1]) + margin
    return from_origin(left, top, *res), (height, width)


def write_ramps(path: Path, crs: str, res: tuple[float, float], grid: Affine) -> Path:
    """Write an image whose values are its own coordinates in the scene's CRS."""
    own, shape = source_grid(crs, res, grid)
    x, y = centres(own, shape)
    x, y = transform(crs, UTM32, x.ravel(), y.ravel())
    ramps = np.array([x, y]).reshape(2, *shape) - np.array(ORIGIN)[:, None, None]
    return write(path, (ramps - 5000).astype(np.float32), crs=crs, transform=own)


@pytest.mark.parametrize('grid', [place(), ROTATED, place(10, 3.3, -4.1)])
@pytest.mark.parametrize(
    ('crs', 'res'),
    [
        (UTM33, (10, 10)),
        (UTM32, (10, 10)),
        (UTM32, (20, 20)),
        (UTM32, (5, 5)),
        (UTM33, (3.3, 3.3)),
        ('EPSG:4326', (0.00014, 0.00009)),
        ('EPSG:3035', (10, 10)),
    ],
)
def test_pixels_come_to_their_places(
    tmp_path: Path, grid: Affine, crs: str, res: tuple[float, float]
) -> None:
    s2 = write_s2(tmp_path / 's2.tif', *SHAPE, transform=grid)
    s1 = write_ramps(tmp_path / 's1.tif', crs, res, grid)
    scene = open_scene(s2, s1, bands=['B02', 's1'])
    image, valid = scene.read((0, SHAPE[0]), (0, SHAPE[1]))
    expected = np.array(centres(grid, SHAPE)) - np.array(ORIGIN)[:, None, None] - 5000
    assert valid.all()
    # A shift by half a pixel would be 5 m.
    assert np.abs(image[1:] - expected).max() < 0.1
    assert any('warped (bilinear)' in note for note in scene.notes)


def noisy(tmp_path: Path, crs: str = UTM33, res: float = 10) -> tuple[Path, Path]:
    s2 = write_s2(tmp_path / 's2.tif', *SHAPE)
    own, shape = source_grid(crs, (res, res), place())
    image = np.random.default_rng(3).normal(-12, 4, (2, *shape)).astype(np.float32)
    return s2, write(tmp_path / 's1.tif', image, crs=crs, transform=own)


def whole(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    return scene.read((0, scene.grid.height), (0, scene.grid.width))


def by_gdal(s1: Path, scene: Scene, resampling: str, **options: object) -> np.ndarray:
    with rasterio.open(s1) as raster:
        warped = np.full((2, scene.grid.height, scene.grid.width), np.nan, np.float32)
        reproject(
            raster.read(),
            warped,
            src_transform=raster.transform,
            src_crs=raster.crs,
            dst_transform=scene.grid.transform,
            dst_crs=scene.grid.crs,
            resampling=Resampling[resampling],
            tolerance=1e-9,
            dst_nodata=np.nan,
            **options,
        )
    return warped


@pytest.mark.parametrize('resampling', ['nearest', 'bilinear', 'cubic', 'average'])
@pytest.mark.parametrize('res', [10, 20])
def test_values_are_those_of_gdal(tmp_path: Path, resampling: str, res: float) -> None:
    s2, s1 = noisy(tmp_path, res=res)
    scene = open_scene(s2, s1, bands=['B02', 's1'], resampling=resampling)
    scales = {'XSCALE': res / 10, 'YSCALE': res / 10}
    expected = by_gdal(s1, scene, resampling, **scales)
    image = whole(scene)[0][1:]
    # Where the nearest changes, a thousandth of a pixel decides.
    assert np.mean(np.abs(image - expected) < 0.05) > 0.995
    if resampling != 'nearest':
        assert np.abs(image - expected).max() < 0.05


@pytest.mark.parametrize('res', [10, 4, 25])
def test_windows_make_the_whole(tmp_path: Path, res: float) -> None:
    s2, s1 = noisy(tmp_path, res=res)
    scene = open_scene(s2, s1, bands=['s1', 'B02'])
    image, _ = whole(scene)
    for top in range(0, 45, 13):
        for left in range(0, 61, 17):
            rows, columns = (
                slice(top, min(top + 13, 45)),
                slice(left, min(left + 17, 61)),
            )
            part = scene.read(rows, columns)[0]
            assert np.abs(part - image[:, rows, columns]).max() < 0.01


def test_a_window_does_not_depend_on_what_was_read_before(tmp_path: Path) -> None:
    s2, s1 = noisy(tmp_path)
    fresh = open_scene(s2, s1, bands=['s1', 'B02']).read((20, 40), (10, 50))[0]
    scene = open_scene(s2, s1, bands=['s1', 'B02'])
    for rows in ((0, 45), (19, 21), (20, 41), (20, 40)):
        again = scene.read(rows, (10, 50))[0]
    assert np.array_equal(fresh, again)


@pytest.mark.parametrize(
    ('fill', 'nodata'),
    [(0, None), (0, 0), (np.nan, None), (np.nan, np.nan), (-9999, -9999)],
)
def test_no_data_do_not_bleed(
    tmp_path: Path, fill: float, nodata: float | None
) -> None:
    s2 = write_s2(tmp_path / 's2.tif', *SHAPE)
    own, shape = source_grid(UTM33, (10, 10), place())
    image = np.full((2, *shape), -20, np.float32)
    image[:, 25:32, 30:41] = fill
    s1 = write(tmp_path / 's1.tif', image, crs=UTM33, transform=own, nodata=nodata)
    read, valid = whole(open_scene(s2, s1, bands=['B02', 's1']))
    assert np.allclose(read[1:, valid], -20, atol=1e-4)
    assert not np.isinf(read).any()
    # The hole is 7 x 11 pixels; bilinear kernels reach one further on each side.
    assert 5 * 9 <= (~valid).sum() <= 9 * 13 + 8


def test_where_sentinel_1_ends_there_are_no_data(tmp_path: Path) -> None:
    s2 = write_s2(tmp_path / 's2.tif', *SHAPE)
    own, shape = source_grid(UTM33, (10, 10), place())
    image = np.full((2, shape[0], shape[1] // 2), -15, np.float32)
    s1 = write(tmp_path / 's1.tif', image, crs=UTM33, transform=own)
    read, valid = whole(open_scene(s2, s1, bands=['B02', 's1']))
    x, y = centres(place(), SHAPE)
    x, y = transform(UTM32, UTM33, x.ravel(), y.ravel())
    columns = (np.array(x).reshape(SHAPE) - own.c) / 10
    assert valid[columns < image.shape[2] - 1].all()
    assert not valid[columns > image.shape[2] + 1].any()
    assert np.allclose(read[1:, valid], -15, atol=1e-4)
    assert np.isfinite(read[0]).all()


@pytest.mark.parametrize('kind', ['mask', 'alpha', 'alpha alone'])
def test_masks_are_warped_too(tmp_path: Path, kind: str) -> None:
    s2, s1 = noisy(tmp_path)
    with rasterio.open(s1, 'r+') as raster:
        own, image = raster.transform, raster.read()
        mask = np.full(raster.shape, 255, np.uint8)
        mask[:, : raster.width // 2] = 0
        if kind == 'mask':
            raster.write_mask(mask)
    if kind != 'mask':
        image[:, mask == 0] = 0 if kind == 'alpha' else image.min()
        image = np.concatenate([image, mask[None]])
        write(s1, image, crs=UTM33, transform=own)
        with rasterio.open(s1, 'r+') as raster:
            raster.colorinterp = [*raster.colorinterp[:2], ColorInterp.alpha]
    _, valid = whole(open_scene(s2, s1, bands=['B02', 's1']))
    assert not valid[:, :20].any()
    assert valid[:, 45:].all()


HOLES = ((slice(25, 32), slice(30, 41)), (slice(38, 50), slice(44, 52)))


def virtual(path: Path, s1: Path, nodata: tuple[float | None, ...], mask: bool) -> Path:
    """Write a virtual raster whose bands each say on their own what they lack."""
    element = (
        '<{0}><SourceFilename>{1}</SourceFilename><SourceBand>{2}</SourceBand></{0}>'
    )
    with rasterio.open(s1) as raster:
        numbers = ', '.join(map(repr, raster.transform.to_gdal()))
        text = f'<SRS>{raster.crs.to_wkt()}</SRS><GeoTransform>{numbers}</GeoTransform>'
        size = f'rasterXSize="{raster.width}" rasterYSize="{raster.height}"'
    for index, number in enumerate(nodata, 1):
        text += f'<VRTRasterBand dataType="Float32" band="{index}">'
        text += '' if number is None else f'<NoDataValue>{number!r}</NoDataValue>'
        text += element.format('SimpleSource', s1, index)
        if mask:
            masks = element.format('SimpleSource', s1.with_suffix('.mask.tif'), index)
            text += f'<MaskBand><VRTRasterBand dataType="Byte">{masks}</VRTRasterBand>'
            text += '</MaskBand>'
        text += '</VRTRasterBand>'
    path.write_text(f'<VRTDataset {size}>{text}</VRTDataset>', encoding='utf-8')
    return path


def punch(
    s1: Path, fills: tuple[float, ...], nodata: float | None = None
) -> np.ndarray:
    """Put numbers into a hole of each band, and return where these holes are."""
    with rasterio.open(s1) as raster:
        own, image = raster.transform, raster.read()
    holes = np.zeros(image.shape, bool)
    for band, (hole, fill) in enumerate(zip(HOLES, fills, strict=True)):
        image[band][hole], holes[band][hole] = fill, True
    write(s1, image, crs=UTM33, transform=own, nodata=nodata)
    mask = np.where(holes, 0, 255).astype(np.uint8)
    write(s1.with_suffix('.mask.tif'), mask, crs=UTM33, transform=own)
    return holes


LOWEST = float(np.finfo(np.float32).min)


@pytest.mark.parametrize(
    ('kind', 'fills', 'nodata'),
    [
        ('masks', (40, 50), (None, None)),
        ('masks', (40, LOWEST), (None, LOWEST)),
        ('nodata', (-9999, -5555), (-9999, -5555)),
        ('nodata', (-9999, 0), (-9999, None)),
        ('nodata', (np.nan, np.inf), (np.nan, np.inf)),
        ('file', (-9999, -9999), (-9999, -9999)),
        ('file', (LOWEST, LOWEST), (LOWEST, LOWEST)),
    ],
)
@pytest.mark.parametrize('resampling', ['nearest', 'bilinear'])
def test_a_band_has_no_data_where_it_says_so_itself(
    tmp_path: Path,
    kind: str,
    fills: tuple[float, float],
    nodata: tuple[float | None, float | None],
    resampling: str,
) -> None:
    s2, s1 = noisy(tmp_path)
    holes = punch(s1, fills, nodata[0] if kind == 'file' else None)
    named = s1
    if kind != 'file':
        named = virtual(tmp_path / 's1.vrt', s1, nodata, kind == 'masks')
    scene = open_scene(s2, named, bands=['B02', 's1'], resampling=resampling)
    image, valid = whole(scene)
    columns, rows = positions(s1)
    hidden = holes[:, rows.astype(int), columns.astype(int)]
    assert (np.isnan(image[1:]) == hidden).all()
    assert (valid == ~hidden.any(axis=0)).all()
    # GDAL, of a file that has NaN there, one band at a time.
    options = {'src_nodata': np.nan, 'XSCALE': 1, 'YSCALE': 1}
    for index in (1, 2):
        with rasterio.open(s1) as raster:
            band, own = raster.read(index), raster.transform
        band[holes[index - 1]] = np.nan
        alone = write(tmp_path / 'alone.tif', band[None], crs=UTM33, transform=own)
        expected = by_gdal(alone, scene, resampling, **options)[0]
        assert np.array_equal(np.isnan(expected), hidden[index - 1])
        error = np.abs(image[index] - expected)[~hidden[index - 1]]
        assert np.mean(error < 0.05) > 0.995
        assert resampling == 'nearest' or error.max() < 0.05


def positions(s1: Path) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of the scene lie in a file, in its columns and rows."""
    x, y = centres(place(), SHAPE)
    with rasterio.open(s1) as raster:
        x, y = map(np.array, transform(UTM32, raster.crs, x.ravel(), y.ravel()))
        a, _, c, _, e, f = raster.transform[:6]
    return ((x - c) / a).reshape(SHAPE), ((y - f) / e).reshape(SHAPE)


def test_a_mask_and_a_number_both_hide_what_is_warped(tmp_path: Path) -> None:
    s2, s1 = noisy(tmp_path)
    holes = punch(s1, (-9999, -9999), nodata=-9999)
    masked = np.zeros(holes.shape[1:], bool)
    masked[:, 20:24] = True
    with rasterio.open(s1, 'r+') as raster:
        raster.write_mask(np.where(masked, 0, 255).astype(np.uint8))
    image, valid = whole(open_scene(s2, s1, bands=['B02', 's1']))
    columns, rows = positions(s1)
    hidden = (holes | masked)[:, rows.astype(int), columns.astype(int)]
    assert (valid == ~hidden.any(axis=0)).all()
    assert image[1:, valid].min() > -60


def test_power_is_warped_before_it_is_converted(tmp_path: Path) -> None:
    s2 = write_s2(tmp_path / 's2.tif', *SHAPE)
    own, shape = source_grid(UTM33, (10, 10), place())
    power = np.random.default_rng(0).gamma(4, 0.02, (2, *shape)).astype(np.float32)
    s1 = write(tmp_path / 's1.tif', power, crs=UTM33, transform=own)
    scene = open_scene(s2, s1, bands=['B02', 's1'], s1_power=True)
    image, valid = whole(scene)
    assert valid.all()
    expected = 10 * np.log10(by_gdal(s1, scene, 'bilinear', XSCALE=1, YSCALE=1))
    assert np.abs(image[1:] - expected).max() < 0.1


def test_sentinel_1_alone_keeps_its_own_grid(tmp_path: Path) -> None:
    _, s1 = noisy(tmp_path)
    scene = open_scene(s1=s1, bands=['s1'])
    with rasterio.open(s1) as raster:
        assert scene.grid.crs == raster.crs
        assert scene.grid.transform == raster.transform
        assert np.array_equal(whole(scene)[0], raster.read())


def test_an_unknown_resampling(tmp_path: Path) -> None:
    s2, s1 = noisy(tmp_path)
    with pytest.raises(ValueError, match=r"resampling to be one of .* got 'best'"):
        open_scene(s2, s1, bands=['s1'], resampling='best')


@pytest.mark.parametrize('west', [179.93, 179.93 - 360])
@pytest.mark.parametrize('alpha', [False, True])
def test_degrees_may_go_on_beyond_180(tmp_path: Path, west: float, alpha: bool) -> None:
    utm60 = from_origin(723_000, 5_300_000, 10, 10)  # 180 degrees lie within
    s2 = write(tmp_path / 's2.tif', noise(13, 200, 220), 'EPSG:32660', utm60)
    radar = decibels(1500, 1400)
    if alpha:
        radar = np.concatenate([radar, np.full((1, 1500, 1400), 255, np.float32)])
    own = from_origin(west, 47.88, 0.0001, 0.0001)
    s1 = write(tmp_path / 's1.tif', radar, 'EPSG:4326', own)
    if alpha:
        with rasterio.open(s1, 'r+') as raster:
            raster.colorinterp = [*raster.colorinterp[:2], ColorInterp.alpha]
    image, valid = whole(open_scene(s2, s1, bands=['B02', 's1']))
    assert valid.all()
    # The nearest pixels, within the reach of the kernel.
    columns, rows = np.meshgrid(np.arange(220) + 0.5, np.arange(200) + 0.5)
    x, y = utm60 @ (columns.ravel(), rows.ravel())
    x, y = map(np.array, transform('EPSG:32660', 'EPSG:4326', x, y))
    columns = ((x - west) % 360 / 0.0001).astype(int)
    near = radar[0, ((47.88 - y) / 0.0001).astype(int), columns]
    assert np.corrcoef(near, image[1].ravel())[0, 1] > 0.5
    joined = Sentinel2Scenes(s2) & Sentinel1Scenes(s1)
    x, y = slice(723_000, 725_200), slice(5_298_000, 5_300_000)
    np.testing.assert_array_equal(joined[x, y]['image'][-2:], image[1:])

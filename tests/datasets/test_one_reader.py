"""Training, scoring and mapping read the same values and the same validity."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.shutil import copy
from torchgeo.datasets import Sentinel2

from dfc2020_geo.classes import IGNORE_INDEX, get_scheme
from dfc2020_geo.datamodules.scene_patches import GriddedPatches
from dfc2020_geo.datasets import (
    LabelScenes,
    Sentinel1Scenes,
    Sentinel2Scenes,
    open_scenes,
)
from dfc2020_geo.io.scenes import Scene, open_scene
from tests.support.scene_files import ORIGIN, noise, place, write

HEIGHT, WIDTH = 23, 31
NAMES = {'s2': ('B02', 'B03', 'B08'), 's1': ('VV', 'VH')}
READERS = {'s2': Sentinel2Scenes, 's1': Sentinel1Scenes}

FORMATS: dict[str, dict[str, object]] = {
    'strips': {'interleave': 'band', 'blockysize': 3},
    'pixels': {'interleave': 'pixel', 'compress': 'deflate'},
    'tiles': {'tiled': True, 'blockxsize': 16, 'blockysize': 16},
    'vrt': {},
    'jp2': {},
}


@dataclass(frozen=True)
class Kind:
    """What a file is, and how it says where it has no data."""

    sensor: str
    format: str
    dtype: str
    mask: str
    nodata: tuple[float | None, ...]
    seed: int


@st.composite
def kinds(draw: st.DrawFn) -> Kind:
    sensor = draw(st.sampled_from(['s2', 's1']))
    form = draw(st.sampled_from([*FORMATS]))
    types = ['uint8', 'uint16', 'int16'] + ['float32', 'float64'] * (form != 'jp2')
    dtype = draw(st.sampled_from(types))
    masks = ['none', 'inside', 'beside', 'alpha']
    mask = 'none' if form == 'jp2' else draw(st.sampled_from(masks))
    numbers = [None, 0, 3] + [np.nan, -9999.0] * (dtype[0] == 'f')
    number = st.sampled_from(numbers)
    count = len(NAMES[sensor])
    # Only a virtual raster has a number, or a mask, of each band.
    per_band = form == 'vrt' and draw(st.booleans())
    one = draw(number)
    nodata = tuple(draw(number) if per_band else one for _ in range(count))
    if form == 'vrt' and draw(st.booleans()):
        mask = 'band'
    return Kind(sensor, form, dtype, mask, nodata, draw(st.integers(0, 999)))


def make(folder: Path, kind: Kind) -> Path:
    """Write a file of few numbers, so that each kind of no data occurs."""
    rng = np.random.default_rng(kind.seed)
    names: tuple[str | None, ...] = NAMES[kind.sensor]
    image = rng.choice([0, 0, 3, 5, 6, 7], (len(names), HEIGHT, WIDTH))
    image = image.astype(kind.dtype)
    image[:, :2] = 0
    if kind.dtype[0] == 'f':
        image[0, 4], image[1, 6, :9], image[:, 8, 3] = np.nan, np.inf, -9999
    mask = np.where(rng.random((HEIGHT, WIDTH)) < 0.3, 0, 255).astype(np.uint8)
    nodata = None if kind.format == 'vrt' else kind.nodata[0]
    if kind.mask == 'alpha':
        alpha = mask.astype(kind.dtype)[None]
        image, names = np.concatenate([image, alpha]), (*names, None)
    suffix = 'jp2' if kind.format == 'jp2' else 'tif'
    path = folder / f'scene.{suffix}'
    options = {'descriptions': names, 'nodata': nodata, **FORMATS[kind.format]}
    write(path, image, **options)  # ty: ignore[invalid-argument-type]
    if kind.mask == 'alpha':
        with rasterio.open(path, 'r+') as raster:
            raster.colorinterp = [*raster.colorinterp[:-1], ColorInterp.alpha]
    if kind.mask in ('inside', 'beside'):
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind.mask == 'inside'),
            rasterio.open(path, 'r+') as raster,
        ):
            raster.write_mask(mask)
        assert path.with_name('scene.tif.msk').exists() == (kind.mask == 'beside')
    return as_vrt(path, kind, mask) if kind.format == 'vrt' else path


def as_vrt(path: Path, kind: Kind, mask: np.ndarray) -> Path:
    """Put a virtual raster before a file, where each band has its own number or mask."""
    with rasterio.MemoryFile(ext='.vrt') as memory:
        copy(path, memory.name, driver='VRT')
        head, *bands = memory.read().decode().split('<VRTRasterBand ')
    write(path.with_name('mask.tif'), mask[None])
    hidden = (
        '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename>'
        f'{path.with_name("mask.tif")}</SourceFilename><SourceBand>1</SourceBand>'
        '</SimpleSource></VRTRasterBand></MaskBand>'
    )
    for i, number in enumerate(kind.nodata):
        start, end, rest = bands[i].partition('>')
        told = '' if number is None else f'<NoDataValue>{number!r}</NoDataValue>'
        text = f'{start}{end}{told}{rest}'
        if kind.mask == 'band' and i == 1:
            before, closing, after = text.rpartition('</VRTRasterBand>')
            text = f'{before}{hidden}{closing}{after}'
        bands[i] = text
    path.with_suffix('.vrt').write_text('<VRTRasterBand '.join([head, *bands]))
    return path.with_suffix('.vrt')


def rectangle(rows: tuple[int, int], columns: tuple[int, int]) -> tuple[slice, slice]:
    left, top = ORIGIN
    return (
        slice(left + 10 * columns[0], left + 10 * columns[1]),
        slice(top - 10 * rows[1], top - 10 * rows[0]),
    )


def spans(length: int) -> st.SearchStrategy[tuple[int, int]]:
    ends = st.lists(st.integers(-6, length + 6), min_size=2, max_size=2, unique=True)
    pairs = ends.map(lambda pair: (min(pair), max(pair)))
    return pairs.filter(lambda pair: max(pair[0], 0) < min(pair[1], length))


def beyond(
    scene: Scene, rows: tuple[int, int], columns: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """What a map reads of a window, NaN where the window leaves the scene."""
    shape = (rows[1] - rows[0], columns[1] - columns[0])
    image = np.full((len(scene.bands), *shape), np.nan, np.float32)
    valid = np.zeros(shape, bool)
    top, bottom = max(rows[0], 0), min(rows[1], HEIGHT)
    left, right = max(columns[0], 0), min(columns[1], WIDTH)
    inside = np.s_[
        top - rows[0] : bottom - rows[0], left - columns[0] : right - columns[0]
    ]
    image[:, *inside], valid[inside] = scene.read((top, bottom), (left, right))
    return image, valid


@settings(max_examples=60, deadline=None)
@given(kind=kinds(), rows=spans(HEIGHT), columns=spans(WIDTH), data=st.data())
def test_training_scoring_and_mapping_read_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    kind: Kind,
    rows: tuple[int, int],
    columns: tuple[int, int],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp('scene')
    path = make(folder, kind)
    subset = st.lists(st.sampled_from(NAMES[kind.sensor]), min_size=1, unique=True)
    bands = data.draw(subset)
    scene = open_scene(**{kind.sensor: path}, bands=bands)
    expected, valid = beyond(scene, rows, columns)
    images = READERS[kind.sensor](path, bands=bands)
    ones = np.ones((1, HEIGHT, WIDTH), np.uint8)
    labels = LabelScenes(write(folder / 'labels.tif', ones))
    joined = images & labels
    x, y = rectangle(rows, columns)
    np.testing.assert_array_equal(images[x, y]['image'], expected)
    sample = joined[x, y]
    np.testing.assert_array_equal(sample['image'], expected)
    assert np.array_equal(sample['mask'] == 0, valid)
    assert {*sample['mask'].unique().tolist()} <= {0, IGNORE_INDEX}
    # Scoring cuts the scene into patches, each pixel scored in one.
    whole, has_data = scene.read((0, HEIGHT), (0, WIDTH))
    scored = np.zeros((HEIGHT, WIDTH), int)
    patches = GriddedPatches([joined], (9, 11), get_scheme('dfc2020'), overlap=2)
    for window, patch in zip(patches.windows, patches, strict=True):
        place = np.s_[
            window.rows.start : window.rows.stop,
            window.columns.start : window.columns.stop,
        ]
        np.testing.assert_array_equal(patch['image'], whole[:, *place])
        scored[place] += patch['mask'].numpy() == 0
    assert np.array_equal(scored, has_data)


@pytest.mark.parametrize('kind', ['inside', 'beside', 'alpha'])
def test_what_lies_under_a_mask_is_not_trained_on(tmp_path: Path, kind: str) -> None:
    made = Kind('s2', 'strips', 'uint16', kind, (None,) * 3, 0)
    path = make(tmp_path, made)
    hidden = np.random.default_rng(0)
    hidden.choice([0, 0, 3, 5, 6, 7], (3, HEIGHT, WIDTH))
    masked = hidden.random((HEIGHT, WIDTH)) < 0.3
    image = Sentinel2Scenes(path, bands=NAMES['s2'])[:, :]['image'].numpy()
    assert np.isnan(image[:, masked]).all()
    assert np.isfinite(image[:, ~masked]).all()


def test_one_band_may_be_0_where_0_is_no_data(tmp_path: Path) -> None:
    image = np.full((2, 3, 4), 9, np.uint16)
    image[0, 1, 1] = image[0, 2, 2] = image[1, 2, 2] = 0
    path = write(tmp_path / 'a.tif', image, descriptions=['B02', 'B03'], nodata=0)
    found = Sentinel2Scenes(path, bands=['B02', 'B03'])[:, :]['image'].numpy()
    assert found[:, 1, 1].tolist() == [0, 9]
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 2, 2], [1, 2, 2]]


def test_masks_of_labels_count(tmp_path: Path) -> None:
    ones = np.ones((1, HEIGHT, WIDTH), np.uint8)
    path = write(tmp_path / 'labels.tif', ones)
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[5:9, 2:4] = 0
    with rasterio.open(path, 'r+') as raster:
        raster.write_mask(mask)
    expected = np.where(mask == 0, IGNORE_INDEX, 0)
    np.testing.assert_array_equal(LabelScenes(path)[:, :]['mask'], expected)


def test_of_several_files_the_first_with_data_counts(tmp_path: Path) -> None:
    first, second = noise(3, HEIGHT, WIDTH, 1), noise(3, HEIGHT, WIDTH, 2)
    first[:, :, :9] = 0  # undeclared fill
    first[1, 3, 20] = 0  # a dark pixel
    names = NAMES['s2']
    write(tmp_path / 'a.tif', first, descriptions=names)
    path = write(tmp_path / 'b.tif', second, descriptions=names)
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:4] = 0
    with rasterio.open(path, 'r+') as raster:
        raster.write_mask(mask)
    found = Sentinel2Scenes(tmp_path, bands=names)[:, :]['image']
    expected = first.astype(np.float32)
    expected[:, 4:, :9] = second[:, 4:, :9]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('offset', [0.0, -1000.0])
def test_files_of_torchgeos_datasets_are_read_as_maps_are(
    tmp_path: Path, offset: float
) -> None:
    shapes = {'B02': 24, 'B03': 24, 'B11': 12, 'B01': 4}
    for name, side in shapes.items():
        image = noise(1, side, side, side) + 1000
        image[:, : side // 4] = 0
        path = tmp_path / 's2' / f'T32TQM_20200601T100559_{name}.tif'
        write(path, image.astype(np.uint16), transform=place(240 / side))
    write(tmp_path / 'labels' / 'a.tif', np.ones((1, 24, 24), np.uint8))
    bands = [*shapes]
    # torchgeo takes its grid from the first band's file.
    images = {'s2': (Sentinel2, tmp_path / 's2')}
    [scene] = open_scenes(
        images, tmp_path / 'labels', bands, 'dfc2020', 'dfc2020', offset
    )
    mapped = open_scene(tmp_path / 's2', bands=bands, s2_offset=offset)
    expected, valid = mapped.read((0, 24), (0, 24))
    sample = scene[ORIGIN[0] : ORIGIN[0] + 240, ORIGIN[1] - 240 : ORIGIN[1]]
    np.testing.assert_array_equal(sample['image'], expected)
    assert np.array_equal(sample['mask'] == 0, valid)
    assert 0 < valid.mean() < 1


@pytest.mark.parametrize('crs', ['EPSG:32633', 'EPSG:4326'])
def test_what_is_warped_is_warped_as_for_maps(tmp_path: Path, crs: str) -> None:
    s2 = write(tmp_path / 's2.tif', noise(13, HEIGHT, WIDTH))
    res = 10 if crs != 'EPSG:4326' else 1e-4
    corner = rasterio.warp.transform('EPSG:32632', crs, [ORIGIN[0]], [ORIGIN[1]])
    own = rasterio.Affine(
        res, 0, corner[0][0] - 9.3 * res, 0, -res, corner[1][0] + 9.7 * res
    )
    radar = np.random.default_rng(0).normal(-12, 3, (2, 60, 70)).astype(np.float32)
    radar[:, 20:24, 30:40] = 0
    s1 = write(tmp_path / 's1.tif', radar, crs=crs, transform=own)
    expected, valid = open_scene(s2, s1, ['s2', 's1']).read((0, HEIGHT), (0, WIDTH))
    joined = Sentinel2Scenes(s2) & Sentinel1Scenes(s1)
    joined &= LabelScenes(write(tmp_path / 'l.tif', np.ones((1, 23, 31), np.uint8)))
    sample = joined[rectangle((0, HEIGHT), (0, WIDTH))]
    np.testing.assert_array_equal(sample['image'], expected)
    assert np.array_equal(sample['mask'] == 0, valid)
    assert 0 < valid.mean() < 1

"""Patches read without GDAL, or with less of it, are what rasterio reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import write_phase

from dfc2020_geo.datasets import DFC2020Patches
from dfc2020_geo.rasters import fill_image, read_bands, read_stored
from dfc2020_geo.tiffs import read_pixels

TYPES = ('uint8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'float64')


def make(dtype: str, count: int, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Make bands that differ in every pixel where the type allows it."""
    size = count * shape[0] * shape[1]
    values = np.random.default_rng(seed).permutation(size).reshape(count, *shape)
    return (values % 251 if dtype == 'uint8' else values).astype(dtype)


def write(path: Path, bands: np.ndarray, **profile: Any) -> Path:
    count, height, width = bands.shape
    profile = {'driver': 'GTiff', 'crs': 'EPSG:32633', **profile}
    transform = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    with rasterio.open(
        path,
        'w',
        count=count,
        height=height,
        width=width,
        dtype=bands.dtype,
        transform=transform,
        **profile,
    ) as raster:
        raster.write(bands)
    return path


def expected_image(path: Path, indexes: list[int]) -> np.ndarray:
    """Read with rasterio alone, NaN where it knows of a value without data."""
    with rasterio.open(path) as raster:
        stored, nodata = raster.read(indexes), raster.nodata
    image = stored.astype(np.float32)
    if nodata is not None:
        image[stored == nodata] = np.nan
    return image


def image_of(path: Path, indexes: list[int]) -> np.ndarray:
    pixels = read_stored(path, indexes)
    image = np.empty(pixels.values.shape, np.float32)
    fill_image(image, pixels)
    return image


def assert_same(path: Path, indexes: list[int]) -> None:
    with rasterio.open(path) as raster:
        stored = raster.read(indexes)
    ours = read_bands(path, indexes)
    assert ours.dtype == stored.dtype
    np.testing.assert_array_equal(ours, stored)
    expected = expected_image(path, indexes)
    np.testing.assert_array_equal(image_of(path, indexes), expected)


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    compress = draw(st.sampled_from([None, 'deflate', 'lzw', 'zstd', 'packbits']))
    profile: dict[str, Any] = {
        'interleave': draw(st.sampled_from(['band', 'pixel'])),
        'endianness': draw(st.sampled_from(['little', 'big'])),
        'bigtiff': draw(st.sampled_from(['yes', 'no'])),
    }
    if compress:
        profile['compress'] = compress
    if draw(st.booleans()):
        profile |= {'tiled': True, 'blockxsize': 16, 'blockysize': 32}
    else:
        profile['blockysize'] = draw(st.sampled_from([1, 3, 64]))
    if compress in ('deflate', 'lzw', 'zstd'):
        profile['predictor'] = draw(st.sampled_from([1, 2]))
    return profile


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), profile=profiles(), dtype=st.sampled_from(TYPES))
def test_every_profile_is_read_as_rasterio_reads_it(
    tmp_path: Path, data: st.DataObject, profile: dict[str, Any], dtype: str
) -> None:
    count = data.draw(st.integers(1, 6))
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    bands = make(dtype, count, shape)
    if data.draw(st.booleans()):
        profile = profile | {'nodata': data.draw(st.sampled_from([0, 5, 200]))}
    path = write(tmp_path / 'image.tif', bands, **profile)
    indexes = st.lists(st.integers(1, count), min_size=1, max_size=8)
    assert_same(path, data.draw(indexes))


@pytest.mark.parametrize('interleave', ['band', 'pixel'])
@pytest.mark.parametrize('endianness', ['little', 'big'])
@pytest.mark.parametrize('bigtiff', ['yes', 'no'])
@pytest.mark.parametrize('dtype', TYPES)
def test_uncompressed_strips_are_read_without_gdal(
    tmp_path: Path, dtype: str, bigtiff: str, endianness: str, interleave: str
) -> None:
    bands = make(dtype, 13, (50, 30))
    profile = {'interleave': interleave, 'endianness': endianness, 'bigtiff': bigtiff}
    path = write(tmp_path / 'image.tif', bands, **profile)
    pixels = read_pixels(path, [2, 3, 9, 1])
    assert pixels is not None
    assert pixels.num_bands == 13
    np.testing.assert_array_equal(pixels.values, bands[[1, 2, 8, 0]])


@pytest.mark.parametrize('compress', [None, 'deflate'])
@pytest.mark.parametrize(
    ('dtype', 'nodata'),
    [
        ('float32', -9999),
        ('float32', float(np.finfo(np.float32).min)),
        ('float32', np.nan),
        ('float32', 0.1),
        ('float64', -0.5),
        ('uint16', 65535),
        ('int16', -32768),
        ('int32', 2147483647),
    ],
)
def test_declared_nodata(
    tmp_path: Path, dtype: str, nodata: float, compress: str | None
) -> None:
    bands = make(dtype, 2, (9, 8))
    bands[:, 3] = nodata
    profile = {'compress': compress} if compress else {}
    path = write(tmp_path / 'image.tif', bands, nodata=nodata, **profile)
    assert np.isnan(image_of(path, [1, 2])[:, 3]).all()
    assert_same(path, [2, 1])


@pytest.mark.parametrize(
    'text', ['-9999', '70000', '1.5', 'nan', 'none', '', ' 7', '7 ']
)
def test_whatever_stands_in_the_tag(tmp_path: Path, text: str) -> None:
    bands = make('uint16', 2, (9, 8))
    tags = [(42113, 's', 0, text, True)]
    path = tmp_path / 'image.tif'
    tifffile.imwrite(
        path, bands, extratags=tags, planarconfig='separate', photometric='minisblack'
    )
    assert_same(path, [1, 2])


def test_a_sidecar_that_declares_nodata_counts(tmp_path: Path) -> None:
    path = write(tmp_path / 'image.tif', make('uint16', 2, (9, 8)))
    assert not np.isnan(image_of(path, [1])).any()
    bands = '<PAMRasterBand band="{}"><NoDataValue>5</NoDataValue></PAMRasterBand>'
    (tmp_path / 'image.tif.aux.xml').write_text(
        f'<PAMDataset>{"".join(bands.format(i) for i in (1, 2))}</PAMDataset>'
    )
    assert np.isnan(image_of(path, [1, 2])).sum() == 1
    assert_same(path, [1, 2])


@pytest.mark.parametrize('compress', ['none', 'deflate'])
def test_scale_and_offset_are_ignored(tmp_path: Path, compress: str) -> None:
    bands = make('int16', 2, (9, 8))
    path = write(tmp_path / 'image.tif', bands, compress=compress)
    with rasterio.open(path, 'r+') as raster:
        raster.scales, raster.offsets = (0.01, 0.01), (5, 5)
    assert not Path(f'{path}.aux.xml').exists()
    np.testing.assert_array_equal(read_bands(path, [1, 2]), bands)
    assert_same(path, [2])


def test_files_that_differ_in_place_only_share_a_layout_and_others_do_not(
    tmp_path: Path,
) -> None:
    """Each is read after the ones before it, of which it is nearly a copy."""
    path = tmp_path / 'image.tif'
    profiles = [
        {},
        {'crs': 'EPSG:32634'},
        {'crs': None},
        {'nodata': 3},
        {'nodata': 4},
        {'interleave': 'band'},
        {'interleave': 'band', 'nodata': 4},
        {'blockysize': 2},
        {'endianness': 'big'},
        {'compress': 'deflate'},
    ]
    for seed, profile in enumerate(profiles * 2):
        for dtype in ('uint16', 'int16'):
            write(path, make(dtype, 4, (6, 7), seed), **profile)
            assert_same(path, [2, 3])
    for shape in ((7, 6), (6, 6), (3, 14)):
        write(path, make('uint16', 4, shape))
        assert_same(path, [2, 3])


def test_a_header_behind_the_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / 'image.tif', make('uint16', 3, (20, 20)))
    for value in (3, 4):
        with rasterio.open(path, 'r+') as raster:
            raster.nodata = value
            raster.update_tags(long='x' * 500 * value)
        assert_same(path, [1, 3])


def test_a_header_longer_than_what_is_read_at_first(tmp_path: Path) -> None:
    for seed in (0, 1):
        bands = make('uint16', 13, (300, 3), seed)
        path = write(
            tmp_path / 'image.tif', bands, interleave='band', blockysize=1, nodata=seed
        )
        assert_same(path, [2, 13, 1])


@pytest.mark.parametrize(
    'profile',
    [
        {'nbits': 12},
        {'photometric': 'MINISWHITE'},
        {'sparse_ok': True},
        {'tiled': True, 'blockxsize': 16, 'blockysize': 16},
    ],
)
def test_rare_kinds_are_left_to_gdal(tmp_path: Path, profile: dict[str, Any]) -> None:
    bands = make('uint16', 2, (20, 20)) % 4096
    if 'sparse_ok' in profile:
        bands[:] = 0
    path = write(tmp_path / 'image.tif', bands, **profile)
    assert read_pixels(path, [1]) is None
    assert_same(path, [2, 1])


@pytest.mark.parametrize('interleave', ['band', 'pixel'])
def test_any_cut_is_found(tmp_path: Path, interleave: str) -> None:
    bands = make('uint16', 2, (20, 20))
    path = write(tmp_path / 'image.tif', bands, interleave=interleave)
    content = path.read_bytes()
    for size in (0, 7, 8, 9, 100, 200, 300, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(RuntimeError, match=r'damaged or missing one: .*image'):
            read_stored(path, [1, 2])


def test_damaged_headers_are_read_or_refused_as_by_rasterio(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bands = make('uint16', 2, (20, 20))
    path = write(tmp_path / 'image.tif', bands, interleave='band', nodata=7)
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    header = content.index(bands.tobytes()[:64])
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(generator.integers(1, 4)):
            damaged[generator.integers(0, header)] = generator.integers(0, 256)
        path.write_bytes(damaged)
        try:
            expected = expected_image(path, [1, 2])
        except UnicodeDecodeError:
            continue  # in the name of a projection, which is not read here
        except (rasterio.errors.RasterioError, ValueError, IndexError):
            refused += 1
            with pytest.raises((RuntimeError, ValueError)):
                image_of(path, [1, 2])
        else:
            np.testing.assert_array_equal(image_of(path, [1, 2]), expected)
    assert 0 < refused < 300
    assert not [record for record in caplog.records if record.name == 'tifffile']


def test_a_sample_is_the_same_with_and_without_compression(tmp_path: Path) -> None:
    samples = []
    for compress in ('none', 'deflate'):
        dataset = DFC2020Patches(
            write_phase(tmp_path, '{kind}_0'), 'val', bands=['s2', 's1']
        )
        files = dataset.files[0]
        s1 = make('float32', 2, (30, 20)) - 30
        s1[0, 4, 5], s1[1, 5, 6] = np.nan, -9999
        write(files.s1, s1, compress=compress, nodata=-9999)
        write(files.s2, make('uint16', 13, (30, 20)), compress=compress)
        label = make('int32', 1, (30, 20)) % 11
        write(files.label, label, compress=compress)
        samples.append(dataset[0])
    fast, slow = samples
    np.testing.assert_array_equal(fast['image'].numpy(), slow['image'].numpy())
    assert torch.equal(fast['mask'], slow['mask'])
    assert fast['image'].isnan().sum() == 2
    assert fast['image'].is_contiguous()

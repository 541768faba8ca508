"""What is read without GDAL is what rasterio reads, however the file is stored."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfc2020_geo.io.rasters import read_raw
from dfc2020_geo.io.tiffs import read_strips
from tests.support.tiff_files import (
    TYPES,
    assert_same,
    image_of,
    make,
    profiles,
    types_of,
    write,
)

PLAIN = ('none', 'deflate', 'lzw')

laws = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def draw_bands(data: st.DataObject, dtype: str) -> np.ndarray:
    count = data.draw(st.integers(1, 6))
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    return make(dtype, count, shape)


@laws
@given(data=st.data(), profile=profiles((*PLAIN, 'zstd', 'packbits')))
def test_every_profile_is_read_as_rasterio_reads_it(
    tmp_path: Path, data: st.DataObject, profile: dict[str, Any]
) -> None:
    bands = draw_bands(data, data.draw(st.sampled_from(types_of(profile))))
    if data.draw(st.booleans()):
        profile = profile | {'nodata': data.draw(st.sampled_from([0, 5, 200]))}
    path = write(tmp_path / 'image.tif', bands, **profile)
    indexes = st.lists(st.integers(1, len(bands)), min_size=1, max_size=8)
    assert_same(path, data.draw(indexes))


@laws
@given(data=st.data(), profile=profiles(PLAIN))
def test_strips_need_no_gdal(
    tmp_path: Path, data: st.DataObject, profile: dict[str, Any]
) -> None:
    bands = draw_bands(data, data.draw(st.sampled_from(types_of(profile))))
    path = write(tmp_path / 'image.tif', bands, **profile)
    pixels = read_strips(path, range(1, len(bands) + 1))
    rare = 'tiled' in profile or profile['bigtiff'] == 'yes'
    assert (pixels is None) == (rare or profile['endianness'] == 'big')
    if pixels is None:
        return
    assert pixels.values.dtype == bands.dtype
    np.testing.assert_array_equal(pixels.values, bands)


@laws
@given(
    data=st.data(),
    dtype=st.sampled_from(TYPES),
    compression=st.sampled_from([None, 'zlib', 'lzw']),
    predictor=st.booleans(),
    separate=st.booleans(),
    tile=st.sampled_from([None, (16, 32)]),
    order=st.sampled_from(['<', '>']),
    rows=st.sampled_from([1, 3, 64]),
)
def test_strips_of_tifffile_need_no_gdal_either(
    tmp_path: Path,
    data: st.DataObject,
    dtype: str,
    compression: str | None,
    predictor: bool,
    separate: bool,
    tile: tuple[int, int] | None,
    order: str,
    rows: int,
) -> None:
    bands = draw_bands(data, dtype)
    layout = {'tile': tile} if tile else {'rowsperstrip': rows}
    bigtiff = data.draw(st.booleans())
    path = tmp_path / 'image.tif'
    tifffile.imwrite(
        path,
        bands if separate else bands.transpose(1, 2, 0),
        byteorder=order,
        photometric='minisblack',
        planarconfig='separate' if separate else 'contig',
        compression=compression,
        predictor=predictor and compression is not None,
        metadata=None,
        bigtiff=bigtiff,
        **layout,
    )
    with rasterio.open(path) as raster:
        indexes = list(raster.indexes)
    # A band alone, or one of a single row or column, is not always what it was.
    if min(bands.shape) > 1:
        assert len(indexes) == len(bands)
        is_rare = tile is not None or order == '>' or bigtiff
        assert (read_strips(path, [1]) is None) == is_rare
    assert_same(path, indexes)


@pytest.mark.parametrize('compress', PLAIN)
@pytest.mark.parametrize('interleave', ['band', 'pixel'])
def test_patches_of_true_size(tmp_path: Path, compress: str, interleave: str) -> None:
    """They are read in several blocks of rows, and in runs of bands."""
    bands = make('uint16', 13, (300, 256))
    profile = {'compress': compress, 'interleave': interleave}
    path = write(tmp_path / 'image.tif', bands, **profile)
    indexes = [2, 3, 4, 5, 6, 7, 8, 9, 12, 13]
    pixels = read_strips(path, indexes)
    assert pixels is not None
    np.testing.assert_array_equal(pixels.values, bands[[i - 1 for i in indexes]])


@pytest.mark.parametrize('sides', [(5000, 70), (70, 5000)])
def test_files_far_larger_than_patches(tmp_path: Path, sides: tuple[int, int]) -> None:
    bands = make('float32', 3, sides)
    for number, interleave in enumerate(('band', 'pixel')):
        profile = {'interleave': interleave, 'compress': 'deflate'}
        path = write(tmp_path / f'{number}.tif', bands, **profile)
        pixels = read_strips(path, [3, 1])
        assert pixels is not None
        np.testing.assert_array_equal(pixels.values, bands[[2, 0]])


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Files of unlike kinds at the same time, each of its own values."""
    expected, paths = [], []
    for seed in range(12):
        bands = make('uint16', 5, (40 + seed, 90), seed)
        compress, interleave = PLAIN[seed % 3], ('band', 'pixel')[seed % 2]
        path = tmp_path / f'{seed}.tif'
        expected.append(bands)
        paths.append(write(path, bands, compress=compress, interleave=interleave))
    numbers = np.random.default_rng(0).integers(0, len(paths), 600).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda number: read_strips(paths[number], [2, 3, 5]), numbers)
        for number, pixels in zip(numbers, found, strict=True):
            assert pixels is not None
            np.testing.assert_array_equal(pixels.values, expected[number][[1, 2, 4]])


def stored_in_all_ways(folder: Path, bands: np.ndarray) -> list[Path]:
    """Write files that are read in each way there is, GDAL's as well."""
    return [
        write(folder / f'{compress}_{interleave}_{order}.tif', bands, **profile)
        for compress in ('none', 'deflate', 'packbits')
        for interleave in ('band', 'pixel')
        for order in ('little', 'big')
        for profile in [
            {'compress': compress, 'interleave': interleave, 'endianness': order}
        ]
    ]


def test_bands_come_into_the_array_that_fits(tmp_path: Path) -> None:
    bands = make('uint16', 5, (20, 30))
    for path in stored_in_all_ways(tmp_path, bands):
        out = np.full((3, 20, 30), 9, np.uint16)
        pixels = read_raw(path, [4, 1, 2], 5, out)
        assert pixels.values is out, path
        np.testing.assert_array_equal(out, bands[[3, 0, 1]])


@pytest.mark.parametrize(
    'out',
    [
        np.empty((2, 20, 30), np.uint16),
        np.empty((3, 20, 31), np.uint16),
        np.empty((3, 600), np.uint16),
        np.empty((3, 20, 30), np.int16),
        np.empty((3, 20, 30), np.float32),
        np.empty((3, 20, 30), np.dtype(np.uint16).newbyteorder('S')),
        np.empty((3, 20, 60), np.uint16)[:, :, ::2],
        np.empty((3, 20, 30), np.uint16, order='F'),
        np.frombuffer(bytes(3 * 20 * 30 * 2), np.uint16).reshape(3, 20, 30),
    ],
    ids=[
        'bands',
        'columns',
        'flat',
        'signed',
        'float',
        'swapped',
        'stepped',
        'fortran',
        'frozen',
    ],
)
def test_an_array_that_does_not_fit_is_not_taken(
    tmp_path: Path, out: np.ndarray
) -> None:
    bands = make('uint16', 5, (20, 30))
    for path in stored_in_all_ways(tmp_path, bands):
        values = read_raw(path, [4, 1, 2], out=out).values
        assert not np.shares_memory(values, out), path
        assert values.dtype == np.uint16
        np.testing.assert_array_equal(values, bands[[3, 0, 1]])


@pytest.mark.parametrize('dtype', ['complex_int16', 'complex64'])
def test_numbers_that_are_not_real_come_into_no_array(
    tmp_path: Path, dtype: str
) -> None:
    path = tmp_path / 'image.tif'
    with rasterio.open(
        path, 'w', driver='GTiff', count=1, height=4, width=5, dtype=dtype
    ):
        pass
    out = np.ones((1, 4, 5), np.float32)
    values = read_raw(path, [1], out=out).values
    assert values.dtype.kind == 'c'
    assert not values.any()


def test_what_was_read_is_not_overwritten_by_the_next(tmp_path: Path) -> None:
    paths, expected = [], []
    for seed in range(3):
        expected.append(make('uint16', 4, (50, 60), seed))
        paths.append(write(tmp_path / f'{seed}.tif', expected[-1]))
    found = [read_raw(path, [1, 2, 3, 4]).values for path in paths]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('compress', PLAIN)
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
    tmp_path: Path, dtype: str, nodata: float, compress: str
) -> None:
    bands = make(dtype, 2, (9, 8))
    bands[:, 3] = nodata
    path = write(tmp_path / 'image.tif', bands, nodata=nodata, compress=compress)
    assert np.isnan(image_of(path, [1, 2])[:, 3]).all()
    assert_same(path, [2, 1])


@pytest.mark.parametrize('dtype', ['uint16', 'float32'])
@pytest.mark.parametrize(
    'text', ['-9999', '70000', '1.5', '0.1', '16777217', 'nan', 'none', '', ' 7', '7 ']
)
def test_whatever_stands_in_the_tag(tmp_path: Path, text: str, dtype: str) -> None:
    bands = make(dtype, 2, (9, 8))
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
    np.testing.assert_array_equal(read_raw(path, [1, 2]).values, bands)
    assert_same(path, [2])


@pytest.mark.parametrize(
    'profile',
    [
        {'tiled': True, 'blockxsize': 16, 'blockysize': 16},
        {'endianness': 'big'},
        {'bigtiff': 'yes'},
        {'nbits': 12},
        {'photometric': 'MINISWHITE'},
        {'sparse_ok': True},
        {'sparse_ok': True, 'compress': 'deflate'},
        {'compress': 'lerc'},
        {'compress': 'zstd'},
    ],
)
def test_rare_kinds_are_left_to_gdal(tmp_path: Path, profile: dict[str, Any]) -> None:
    bands = make('uint16', 2, (20, 20)) % 4096
    if 'sparse_ok' in profile:
        bands[:] = 0
    path = write(tmp_path / 'image.tif', bands, **profile)
    assert read_strips(path, [1]) is None
    assert_same(path, [2, 1])

"""TIFFs of many kinds, and what rasterio reads of them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from hypothesis import strategies as st

from dfc2020_geo.io.rasters import fill_image, read_raw

TYPES = ('uint8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'float64')


def make(dtype: str, count: int, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Make bands that differ in every pixel where the type allows it."""
    size = count * shape[0] * shape[1]
    values = np.random.default_rng(seed).permutation(size).reshape(count, *shape)
    return (values % 251 if dtype == 'uint8' else values).astype(dtype)


def write(path: Path, bands: np.ndarray, **profile: Any) -> Path:
    """Write bands with GDAL."""
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
    """Read as datasets do."""
    pixels = read_raw(path, indexes)
    image = np.empty(pixels.values.shape, np.float32)
    fill_image(image, pixels)
    return image


def assert_same(path: Path, indexes: list[int]) -> None:
    """Check that both read the same bits, of the same type."""
    with rasterio.open(path) as raster:
        stored, nodata, count = raster.read(indexes), raster.nodata, raster.count
    pixels = read_raw(path, indexes)
    np.testing.assert_equal(pixels.nodata, nodata)
    assert pixels.values.dtype == stored.dtype
    assert pixels.values.dtype.isnative
    assert pixels.values.tobytes() == stored.tobytes()
    assert pixels.values.shape == stored.shape
    assert pixels.num_bands == count
    expected = expected_image(path, indexes)
    np.testing.assert_array_equal(image_of(path, indexes), expected)


@st.composite
def profiles(draw: st.DrawFn, compressions: tuple[str, ...]) -> dict[str, Any]:
    """Draw how GDAL is to write a file of one of some compressions."""
    compress = draw(st.sampled_from(compressions))
    profile: dict[str, Any] = {
        'compress': compress,
        'interleave': draw(st.sampled_from(['band', 'pixel'])),
        'endianness': draw(st.sampled_from(['little', 'big'])),
        'bigtiff': draw(st.sampled_from(['yes', 'no'])),
    }
    if draw(st.booleans()):
        profile |= {'tiled': True, 'blockxsize': 16, 'blockysize': 32}
    else:
        profile['blockysize'] = draw(st.sampled_from([1, 3, 64]))
    if compress in ('deflate', 'lzw', 'zstd'):
        profile['predictor'] = draw(st.sampled_from([1, 2, 3]))
    return profile


def types_of(profile: dict[str, Any]) -> tuple[str, ...]:
    """Return the types that GDAL writes in this way."""
    floats = ('float32', 'float64')
    return floats if profile.get('predictor') == 3 else TYPES

"""Small scenes on disk."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.transform import from_origin

from dfc2020_geo.bands import BAND_SETS, BANDS

UTM32, UTM33 = 'EPSG:32632', 'EPSG:32633'
ORIGIN = (600_000.0, 5_300_000.0)

#: The position of each band among all, which stands for it in images.
NUMBER = {name: number for number, name in enumerate(BANDS, 1)}


def place(res: float = 10, dx: float = 0, dy: float = 0) -> Affine:
    return from_origin(ORIGIN[0] + dx, ORIGIN[1] + dy, res, res)


def write(
    path: Path,
    image: np.ndarray,
    crs: str | None = UTM32,
    transform: Affine | None = None,
    descriptions: Sequence[str | None] | None = None,
    nodata: float | None = None,
    **options: object,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lossless = {'QUALITY': '100', 'REVERSIBLE': 'YES'} if path.suffix == '.jp2' else {}
    with rasterio.open(
        path,
        'w',
        driver='JP2OpenJPEG' if lossless else 'GTiff',
        count=len(image),
        height=image.shape[1],
        width=image.shape[2],
        dtype=image.dtype,
        crs=crs,
        transform=place() if transform is None else transform,
        nodata=nodata,
        **lossless,
        **options,
    ) as raster:
        raster.write(image)
        if descriptions:
            raster.descriptions = tuple(descriptions)
    return path


def constant(
    names: Sequence[str], height: int, width: int, dtype: str = 'uint16'
) -> np.ndarray:
    """Bands that hold their own number."""
    numbers = np.array([NUMBER[name] for name in names], dtype)
    return np.broadcast_to(numbers[:, None, None], (len(names), height, width))


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Sentinel-2 that differs in each pixel and band."""
    rng = np.random.default_rng(seed)
    return rng.integers(200, 6000, (count, height, width), dtype=np.uint16)


def decibels(height: int, width: int, seed: int = 1) -> np.ndarray:
    """Sentinel-1, VV and VH."""
    rng = np.random.default_rng(seed)
    mean = np.array([-9, -16], np.float32)[:, None, None]
    return mean + rng.normal(0, 2, (2, height, width)).astype(np.float32)


def write_s2(path: Path, height: int = 40, width: int = 50, **options: object) -> Path:
    return write(path, noise(len(BAND_SETS['s2']), height, width), **options)


def write_s1(path: Path, height: int = 40, width: int = 50, **options: object) -> Path:
    return write(path, decibels(height, width), **options)


def read_whole(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read()

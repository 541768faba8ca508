"""How files are stored changes nothing in samples."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch

from dfc2020_geo.datasets import DFC2020Patches
from tests.support.trees import write_phase


def write(path: Path, bands: np.ndarray, **profile: Any) -> None:
    count, height, width = bands.shape
    with rasterio.open(
        path, 'w', driver='GTiff', count=count, height=height, width=width,
        dtype=bands.dtype, crs='EPSG:32633', **profile,
        transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
    ) as raster:  # fmt: skip
        raster.write(bands)


def make(dtype: str, count: int, shape: tuple[int, int]) -> np.ndarray:
    size = count * shape[0] * shape[1]
    values = np.random.default_rng(0).permutation(size).reshape(count, *shape)
    return values.astype(dtype)


def test_a_sample_is_the_same_however_its_files_are_stored(tmp_path: Path) -> None:
    samples = []
    for compress, interleave in product(
        ('packbits', 'none', 'deflate', 'lzw'), ('band', 'pixel')
    ):
        dataset = DFC2020Patches(
            write_phase(tmp_path, '{kind}_0'), 'val', bands=['s2', 's1']
        )
        files = dataset.files[0]
        profile = {'compress': compress, 'interleave': interleave}
        s1 = make('float32', 2, (30, 20)) - 30
        s1[0, 4, 5], s1[1, 5, 6] = np.nan, -9999
        write(files.s1, s1, nodata=-9999, **profile)
        write(files.s2, make('uint16', 13, (30, 20)), **profile)
        write(files.label, make('int32', 1, (30, 20)) % 11, **profile)
        samples.append(dataset[0])
    slow, *others = samples
    for fast in others:
        np.testing.assert_array_equal(fast['image'].numpy(), slow['image'].numpy())
        assert torch.equal(fast['mask'], slow['mask'])
        assert fast['image'].isnan().sum() == 2
        assert fast['image'].is_contiguous()

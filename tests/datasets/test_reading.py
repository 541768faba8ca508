"""Patches as they are stored become what their samples become."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfc2020_geo.bands import Sensor
from dfc2020_geo.datasets import DFC2020Patches, SEN12MSPatches, UnlabeledPatches
from dfc2020_geo.datasets.reading import store_bands
from dfc2020_geo.io.nodata import valid_pixels
from dfc2020_geo.io.tiffs import RawBands
from dfc2020_geo.transforms import ScaleBands
from tests.support.trees import write, write_phase, write_sen12ms, write_unlabeled

TYPES = ('uint8', 'uint16', 'int16', 'uint32', 'int32', 'int64', 'float32', 'float64')
NUMBERS = [0, 0, 1, 2, 255, 65_535, 10_000, -1, -9999, -25, 0.5, -3.25, 1e9, np.nan]


@st.composite
def rasters(draw: st.DrawFn) -> RawBands:
    """Draw two bands in which some pixels are what is declared as no data, if any."""
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    fitting = [n for n in NUMBERS if dtype.kind == 'f' or _fits(n, dtype)]
    values = draw(arrays(dtype, (2, 3, 4), elements=st.sampled_from(fitting)))
    return RawBands(values, draw(st.sampled_from([None, *map(float, fitting)])), 2)


def _fits(number: float, dtype: np.dtype) -> bool:
    limits = np.iinfo(dtype)
    return float(number).is_integer() and limits.min <= number <= limits.max


def _float_image(pixels: RawBands) -> np.ndarray:
    image = pixels.values.astype(np.float32)
    image[pixels.values == (np.nan if pixels.nodata is None else pixels.nodata)] = (
        np.nan
    )
    return image


def _scale(image: np.ndarray, sensor: Sensor, nan: str) -> np.ndarray:
    """Scale as the 2020 baseline does, but for what becomes of NaN."""
    low, high = {'s2': (0, 10_000), 's1': (-25, 0)}[sensor]
    image = np.where(np.isnan(image), np.float32(low if nan == 'lowest' else 0), image)
    image = np.clip(image, low, high)
    if sensor == 's2':
        return image / np.float32(10_000)
    return image / np.float32(25) + np.float32(1)


@settings(deadline=None, max_examples=200)
@given(
    pixels=rasters(),
    sensor=st.sampled_from(['s1', 's2']),
    nan=st.sampled_from(['lowest', 'baseline']),
    out=st.sampled_from(['none', 'uint16', 'float32', 'read']),
)
def test_stored_bands_are_scaled_and_valid_as_floats_are(
    pixels: RawBands, sensor: Sensor, nan: Literal['lowest', 'baseline'], out: str
) -> None:
    image = _float_image(pixels)
    expected = _scale(image, sensor, nan)
    valid = (np.isfinite(image) & (image != 0)).any(axis=0)
    place = (
        None if out == 'none' else np.full((2, 3, 4), 7, 'f4' if out == 'read' else out)
    )
    if out == 'read':  # straight to its place
        place = pixels.values
    stored = store_bands(sensor, pixels, place)
    bands = ['B02', 'B03'] if sensor == 's2' else ['VV', 'VH']
    batch = torch.from_numpy(stored)[None]
    scaled = ScaleBands(bands, nan).join([batch])[0].numpy()
    np.testing.assert_array_equal(scaled, expected)
    assert np.array_equal(valid_pixels(batch)[0], valid)
    is_narrow = sensor == 's2' and pixels.values.dtype in ('uint8', 'uint16')
    assert stored.dtype == ('uint16' if is_narrow else 'float32')
    if place is not None and place.dtype == stored.dtype:
        assert stored is place


def _patch(root: Path) -> DFC2020Patches:
    rng = np.random.default_rng(0)
    write_phase(root, '{kind}_0', num=1)
    dataset = DFC2020Patches(root, 'val', bands=['s2', 's1'])
    (files,) = dataset.files
    contents = {files.s2: (0, 12_000), files.s1: (-30, 5), files.label: (0, 11)}
    for path, (low, high) in contents.items():
        with rasterio.open(path, 'r+') as raster:
            numbers = rng.integers(low, high, (raster.count, *raster.shape))
            raster.write(numbers.astype(raster.dtypes[0]))
    return dataset


@pytest.mark.parametrize('nodata', [None, 0, 3, 65_535])
@pytest.mark.parametrize('compress', ['none', 'deflate'])
def test_a_stored_patch_has_the_numbers_of_its_files(
    tmp_path: Path, nodata: int | None, compress: str
) -> None:
    dataset = _patch(tmp_path)
    (files,) = dataset.files
    with rasterio.open(files.s2) as raster:
        s2, profile = raster.read(), raster.profile
    s2[:, 1, 1:3], s2[:, 2, 2] = 3, 65_535
    with rasterio.open(
        files.s2, 'w', **profile | {'nodata': nodata, 'compress': compress}
    ) as raster:
        raster.write(s2)
    if nodata is not None:
        s2[s2 == nodata] = 0
    with rasterio.open(files.s1) as raster:
        s1 = raster.read()
    with rasterio.open(files.label) as raster:
        codes = raster.read(1)
    stored = dataset.read_raw(0)
    assert {k: v.dtype.name for k, v in stored.items()} == {
        's2': 'uint16',
        's1': 'float32',
        'mask': 'uint8',
    }
    assert np.array_equal(stored['s2'], s2)
    assert np.array_equal(stored['s1'], s1)
    assert np.array_equal(stored['mask'], np.where(codes == 0, 255, codes - 1))
    assert torch.equal(dataset[0]['mask'], torch.from_numpy(stored['mask']).long())


@pytest.mark.parametrize('compress', ['none', 'deflate'])
def test_what_fits_is_filled_and_what_does_not_is_left(
    tmp_path: Path, compress: str
) -> None:
    dataset = _patch(tmp_path)
    (files,) = dataset.files
    for path in (files.s2, files.s1, files.label):
        with rasterio.open(path) as raster:
            values, profile = raster.read(), raster.profile
        with rasterio.open(path, 'w', **profile | {'compress': compress}) as raster:
            raster.write(values)
    expected = dataset.read_raw(0)
    batch = {
        's2': np.full((3, 13, 7, 5), 9, 'u2'),
        's1': np.full((3, 2, 7, 5), 9, 'f4'),
        'mask': np.full((3, 7, 5), 9, 'u1'),
    }
    out = {name: values[1] for name, values in batch.items()}
    stored = dataset.read_raw(0, out)
    assert stored.keys() == expected.keys()
    for name, values in stored.items():
        assert values is out[name]
        assert np.array_equal(values, expected[name])
        assert (batch[name][[0, 2]] == 9).all()
    unfit = {
        's2': np.zeros((13, 7, 5), 'f4'),
        's1': np.zeros((2, 7, 6), 'f4'),
        'mask': np.zeros((7, 5), 'i8'),
        'other': np.zeros(1),
    }
    stored = dataset.read_raw(0, unfit)
    assert stored.keys() == expected.keys()
    for name, values in stored.items():
        assert values is not unfit[name]
        assert values.dtype == expected[name].dtype
        assert np.array_equal(values, expected[name])


def test_memory_that_is_not_in_one_piece_is_filled_as_well(tmp_path: Path) -> None:
    dataset = _patch(tmp_path)
    expected = dataset.read_raw(0)
    out = {
        's2': np.zeros((7, 5, 13), 'u2').transpose(2, 0, 1),
        's1': np.zeros((2, 7, 10), 'f4')[..., ::2],
        'mask': np.zeros((5, 7), 'u1').T,
    }
    for name, values in dataset.read_raw(0, out).items():
        assert np.array_equal(values, expected[name])


def test_a_stored_patch_can_be_written_to(tmp_path: Path) -> None:
    for values in _patch(tmp_path).read_raw(0).values():
        values[...] = 1


def test_only_what_is_needed_is_stored(tmp_path: Path) -> None:
    root = write_unlabeled(tmp_path / 'unlabeled', 'a_{}_1.tif')
    assert UnlabeledPatches(root, ['s1']).read_raw(0).keys() == {'s1'}
    sen12ms = SEN12MSPatches(write_sen12ms(tmp_path / 'sen12ms'), bands=['B02', 'B12'])
    stored = sen12ms.read_raw(-1)
    assert stored.keys() == {'s2', 'mask'}
    assert stored['s2'].shape == (2, 7, 5)
    assert stored['s2'][:, 0, 0].tolist() == [2, 13]
    assert (stored['mask'] == 5).all()
    with pytest.raises(IndexError):
        sen12ms.read_raw(3)


@pytest.mark.parametrize('dtype', ['int16', 'float32', 'float64', 'int32'])
def test_numbers_that_do_not_fit_stay_wider(tmp_path: Path, dtype: str) -> None:
    dataset = _patch(tmp_path)
    write(dataset.files[0].s2, 's2', dtype, values=[-3] * 13)
    stored = dataset.read_raw(0)
    assert stored['s2'].dtype == np.float32
    assert (stored['s2'] == -3).all()


def test_transforms_change_samples_alone(tmp_path: Path) -> None:
    dataset = _patch(tmp_path)
    expected = dataset.read_raw(0)
    dataset.transforms = lambda sample: {'image': sample['image'] * 0}
    assert dataset[0].keys() == {'image'}
    assert all(np.array_equal(v, expected[k]) for k, v in dataset.read_raw(0).items())


@pytest.mark.parametrize(
    ('kind', 'content', 'message'),
    [
        ('label', {'dtype': 'int32', 'values': (11,)}, r'got \[11\]'),
        ('label', {'dtype': 'float32', 'values': (6,)}, 'integer type'),
        ('label', {'dtype': 'int16', 'values': (-1,)}, r'got \[-1\]'),
        ('label', {'dtype': 'int32', 'values': (257,)}, r'got \[257\]'),
        ('s1', {'shape': (7, 6)}, 'same height and width'),
        ('s1', {'dtype': 'complex64'}, 'complex64'),
        ('s2', {'values': range(12)}, '13 bands, got 12'),
    ],
)
def test_what_is_wrong_is_named_as_for_a_sample(
    tmp_path: Path, kind: str, content: dict[str, object], message: str
) -> None:
    dataset = _patch(tmp_path)
    path = getattr(dataset.files[0], kind)
    write(path, 'dfc' if kind == 'label' else kind, **content)  # ty: ignore
    out = {'s2': np.zeros((13, 7, 5), 'u2'), 'mask': np.zeros((7, 5), 'u1')}
    for load in (
        dataset.__getitem__,
        dataset.read_raw,
        lambda i: dataset.read_raw(i, out),
    ):
        with pytest.raises(RuntimeError, match=message) as error:
            load(0)
        assert str(path) in str(error.value)

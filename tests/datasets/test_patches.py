"""What holds for every dataset of patches: reading, selecting, plotting."""

import pickle
from pathlib import Path

import matplotlib.colors
import numpy as np
import pytest
import rasterio
import torch
from torch.utils.data import DataLoader
from torchgeo.datasets import RGBBandsMissingError

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.classes import SCHEMES
from dfc2020_geo.datasets import DFC2020Patches, SEN12MSPatches, UnlabeledPatches
from tests.support.trees import (
    CONTENT,
    VALUES,
    write,
    write_phase,
    write_sen12ms,
    write_unlabeled,
)


@pytest.fixture
def phase(tmp_path: Path) -> Path:
    """One patch of the contest, to be broken."""
    return write_phase(tmp_path, 'ROIs0000_validation/{kind}_validation', num=1)


def file(phase: Path, kind: str) -> Path:
    folder = phase / 'ROIs0000_validation' / f'{kind}_validation'
    return folder / f'ROIs0000_validation_{kind}_0_p0.tif'


@pytest.mark.parametrize('names', [*([name] for name in BAND_SETS), ['VH', 'B8A']])
def test_each_channel_is_its_band(phase: Path, names: list[str]) -> None:
    dataset = DFC2020Patches(phase, 'val', bands=names)
    image = dataset[0]['image']
    assert [band.name for band in dataset.bands] == [
        name
        for name in VALUES
        if name in [b for n in names for b in BAND_SETS.get(n, [n])]
    ]
    expected = [VALUES[band.name] for band in dataset.bands]
    assert image.dtype == torch.float32
    assert image.shape == (len(expected), 7, 5)
    assert (image == torch.tensor(expected)[:, None, None]).all()


def test_the_order_of_bands_does_not_matter(phase: Path) -> None:
    image = DFC2020Patches(phase, 'val', bands=['s2-10m', 's1', 'B12'])[0]['image']
    other = DFC2020Patches(phase, 'val', bands=['VH', 'B12', 'VV', 's2-10m'])[0][
        'image'
    ]
    assert torch.equal(image, other)


def test_labels_are_igbp_in_sen12ms_and_dfc_in_dfc2020(
    phase: Path, tmp_path: Path
) -> None:
    sen12ms = SEN12MSPatches(write_sen12ms(tmp_path / 'sen12ms'))
    cropland = 5
    for mask in (DFC2020Patches(phase, 'val')[0]['mask'], sen12ms[0]['mask']):
        assert mask.dtype == torch.int64
        assert mask.shape == (7, 5)
        assert (mask == cropland).all()


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'int32', 'int64'])
@pytest.mark.parametrize('kind', ['lc', 'dfc'])
def test_labels_of_any_integer_type(tmp_path: Path, kind: str, dtype: str) -> None:
    if kind == 'lc':
        root = write_sen12ms(tmp_path)
        path = root / 'ROIs1158_spring/lc_1/ROIs1158_spring_lc_1_p1.tif'
        dataset = SEN12MSPatches(root)
    else:
        dataset = DFC2020Patches(write_phase(tmp_path, '{kind}_0'), 'val')
        path = dataset.files[0].label
    write(path, kind, dtype)
    assert (dataset[0]['mask'] == 5).all()


@pytest.mark.parametrize(
    ('kind', 'dtype'),
    [
        *(('s1', dtype) for dtype in ('float16', 'float32', 'float64')),
        *(('s2', dtype) for dtype in ('uint16', 'int16', 'float32', 'float64')),
    ],
)
def test_images_of_any_type(phase: Path, kind: str, dtype: str) -> None:
    write(file(phase, kind), kind, dtype)
    image = DFC2020Patches(phase, 'val', bands=['VH', 'B12'])[0]['image']
    assert image.dtype == torch.float32
    assert image[:, 0, 0].tolist() == [13, -2]


def test_nan_stays_for_the_scaling_to_settle(phase: Path) -> None:
    write(file(phase, 's1'), 's1', values=(np.nan, -2))
    image = DFC2020Patches(phase, 'val', bands=['s1'])[0]['image']
    assert image[0].isnan().all()


def test_declared_nodata_is_nan(phase: Path) -> None:
    with rasterio.open(file(phase, 's1'), 'r+') as raster:
        raster.nodata = -9999
        vv = raster.read(1)
        vv[0, 0] = -9999
        raster.write(vv, 1)
    image = DFC2020Patches(phase, 'val', bands=['s1'])[0]['image']
    assert image[0, 0, 0].isnan()
    assert not image.flatten()[1:].isnan().any()


def test_codes_without_a_class_are_ignored(phase: Path) -> None:
    write(file(phase, 'dfc'), 'dfc', values=(3,))
    for scheme, index in (('dfc2020', 2), ('dfc2020-contest', 255)):
        mask = DFC2020Patches(phase, 'val', scheme=scheme)[0]['mask']
        assert (mask == index).all()


@pytest.mark.parametrize('shape', [(1, 1), (33, 130)])
def test_any_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    sample = SEN12MSPatches(write_sen12ms(tmp_path, shape=shape))[0]
    assert sample['image'].shape[1:] == sample['mask'].shape == shape


def test_only_the_needed_sensor_is_read(phase: Path) -> None:
    file(phase, 's1').write_bytes(b'damaged')
    sample = DFC2020Patches(phase, 'val', bands=['s2-10m'])[0]
    assert sample['image'].shape == (4, 7, 5)


def test_transforms_come_last(phase: Path) -> None:
    def double(sample: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {'image': sample['image'] * 2, 'mask': sample['mask'] + 1}

    sample = DFC2020Patches(phase, 'val', bands=['B02'], transforms=double)[0]
    assert (sample['image'] == 4).all()
    assert (sample['mask'] == 6).all()


def test_positions_work_as_in_a_list(tmp_path: Path) -> None:
    dataset = DFC2020Patches(write_phase(tmp_path, '{kind}_0', num=3), 'val')
    write(dataset.files[2].label, 'dfc', values=(1,))
    assert len(dataset) == 3
    assert (dataset[-1]['mask'] == 0).all()
    assert len(list(dataset)) == 3
    with pytest.raises(IndexError):
        dataset[3]
    with pytest.raises(IndexError):
        dataset[-4]


def test_select_keeps_the_given_patches_of_a_copy(tmp_path: Path) -> None:
    dataset = DFC2020Patches(write_phase(tmp_path, '{kind}_0', num=3), 'val')
    selected = dataset.select([2, 0])
    assert selected.files == (dataset.files[2], dataset.files[0])
    assert len(selected) == 2
    assert len(dataset) == 3
    assert selected.prediction_id(0) == 'ROIs0000_validation_dfc_0_p2'


def test_workers_give_the_same_samples(tmp_path: Path) -> None:
    dataset = DFC2020Patches(write_phase(tmp_path, '{kind}_0', num=3), 'val')
    for index, files in enumerate(dataset.files):
        write(files.label, 'dfc', values=(index + 1,))
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.files == dataset.files
    loaded = list(DataLoader(copy, num_workers=2))
    for index, batch in enumerate(loaded):
        assert torch.equal(batch['image'][0], dataset[index]['image'])
        assert torch.equal(batch['mask'][0], dataset[index]['mask'])


def test_a_patch_knows_the_image_that_has_its_grid(phase: Path) -> None:
    both, s1 = (
        DFC2020Patches(phase, 'val', bands=b).files[0] for b in (['s1', 's2'], ['s1'])
    )
    assert both.image == both.s2 == file(phase, 's2')
    assert s1.image == s1.s1 == file(phase, 's1')
    assert s1.s2 is None
    assert s1.id == both.id == 'ROIs0000_validation_s2_0_p0'


@pytest.mark.parametrize('scheme', SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_colours_and_names_are_those_of_the_scheme(phase: Path, scheme: object) -> None:
    dataset = DFC2020Patches(phase, 'val', scheme=scheme.name)
    assert dataset.classes == tuple(c.name for c in scheme.classes)
    assert len(scheme) == dataset.cmap.N
    for index, land_cover in enumerate(scheme.classes):
        color = matplotlib.colors.to_hex(dataset.cmap(index))
        assert color == '#{:02x}{:02x}{:02x}'.format(*land_cover.color)


@pytest.mark.parametrize('bands', [['s2', 's1'], ['s1']])
def test_plot_shows_image_mask_and_prediction(phase: Path, bands: list[str]) -> None:
    dataset = DFC2020Patches(phase, 'val', bands=bands)
    sample = dataset[0]
    sample['prediction'] = sample['mask'].clone()
    figure = dataset.plot(sample, suptitle='A patch')
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ['Image', 'Mask', 'Prediction']
    mask, prediction = (axes.images[0].get_array() for axes in figure.axes[1:])
    np.testing.assert_array_equal(mask, prediction)
    assert figure.get_suptitle() == 'A patch'
    del sample['mask']
    figure = dataset.plot(sample, show_titles=False)
    assert [axes.get_title() for axes in figure.axes] == ['', '']


def test_plot_without_bands_for_a_picture(phase: Path) -> None:
    dataset = DFC2020Patches(phase, 'val', bands=['B08', 'VV'])
    with pytest.raises(RGBBandsMissingError):
        dataset.plot(dataset[0])


def test_unlabelled_samples_have_no_mask(tmp_path: Path) -> None:
    dataset = UnlabeledPatches(write_unlabeled(tmp_path, 'a_{}_1.tif'))
    assert dataset[0].keys() == {'image'}
    assert len(dataset.plot(dataset[0]).axes) == 1


def test_unknown_arguments(phase: Path) -> None:
    with pytest.raises(ValueError, match=r"one of \('val', .*\), got 'train'\."):
        DFC2020Patches(phase, 'train')
    with pytest.raises(ValueError, match=r"one of \('train', .*\), got 'test'\."):
        SEN12MSPatches(phase, 'test')
    with pytest.raises(ValueError, match=r"got \['B99'\]"):
        DFC2020Patches(phase, 'val', bands=['B99'])
    with pytest.raises(ValueError, match="got 'igbp'"):
        DFC2020Patches(phase, 'val', scheme='igbp')


def expect_broken(phase: Path, kind: str, message: str) -> None:
    """Reading fails with a message that names the file."""
    dataset = DFC2020Patches(phase, 'val')
    with pytest.raises(RuntimeError, match=message) as error:
        dataset[0]
    assert str(file(phase, kind)) in str(error.value)


@pytest.mark.parametrize('kind', ['s1', 's2', 'dfc'])
@pytest.mark.parametrize(
    'layout', [{}, {'compress': 'deflate'}, {'interleave': 'band'}]
)
def test_a_truncated_file(phase: Path, kind: str, layout: dict[str, str]) -> None:
    path = write(file(phase, kind), kind, shape=(64, 64), **layout)
    for other in {'s1', 's2', 'dfc'} - {kind}:
        write(file(phase, other), other, shape=(64, 64))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    expect_broken(phase, kind, 'damaged')


@pytest.mark.parametrize('content', [b'', b'\0' * 500])
def test_a_file_that_is_no_raster(phase: Path, content: bytes) -> None:
    file(phase, 's1').write_bytes(content)
    expect_broken(phase, 's1', 'damaged')


def test_a_file_that_is_gone_by_the_time_it_is_read(phase: Path) -> None:
    dataset = DFC2020Patches(phase, 'val')
    file(phase, 's2').unlink()
    with pytest.raises(RuntimeError, match=r'missing one: .*s2_0_p0\.tif'):
        dataset[0]


@pytest.mark.parametrize(
    ('kind', 'count', 'expected'),
    [('s1', 1, 2), ('s1', 3, 2), ('s2', 12, 13), ('dfc', 4, 1)],
)
def test_another_number_of_bands(
    phase: Path, kind: str, count: int, expected: int
) -> None:
    write(file(phase, kind), kind, values=(1,) * count)
    expect_broken(phase, kind, f'Expected {expected} bands, got {count}')


@pytest.mark.parametrize('kind', ['s1', 's2', 'dfc'])
def test_another_size_than_the_twin(phase: Path, kind: str) -> None:
    write(file(phase, kind), kind, shape=(7, 6))
    expect_broken(phase, kind, 'same height and width, got .*7 x 6 of .*')


@pytest.mark.parametrize(
    ('dtype', 'code', 'message'),
    [
        ('int32', 11, r'got \[11\]'),
        ('int16', -1, r'got \[-1\]'),
        ('uint8', 255, r'got \[255\]'),
        ('float32', 6, 'integer type, got float32'),
        pytest.param('float64', np.nan, 'integer type, got float64'),
    ],
)
def test_a_label_that_is_not_understood(
    phase: Path, dtype: str, code: float, message: str
) -> None:
    write(file(phase, 'dfc'), 'dfc', dtype, values=(code,))
    expect_broken(phase, 'dfc', message)


def test_igbp_fill_is_ignored_and_an_unknown_code_is_not(tmp_path: Path) -> None:
    dataset = SEN12MSPatches(write_sen12ms(tmp_path))
    path = dataset.files[0].label
    write(path, 'lc', values=(255, *CONTENT['lc'][1][1:]))
    assert (dataset[0]['mask'] == 255).all()
    write(path, 'lc', values=(18, *CONTENT['lc'][1][1:]))
    with pytest.raises(RuntimeError, match=rf'{path}: .* got \[18\]'):
        dataset[0]


def test_complex_images_are_refused(phase: Path) -> None:
    write(file(phase, 's1'), 's1', 'complex64')
    expect_broken(phase, 's1', 'complex64')

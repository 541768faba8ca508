from typing import Literal

import kornia.augmentation as K
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.geometry.transform import warp_perspective

from dfc2020_geo.bands import BANDS
from dfc2020_geo.transforms import RandomD4, ScaleBands, SelectBands, valid_pixels


def _pixels(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None].expand(
        1, len(values), 2, 2
    )


def test_scaling_is_that_of_the_baseline_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    s2 = rng.uniform(-100, 20_000, (1, 1, 64, 64)).astype(np.float32)
    s1 = rng.uniform(-60, 20, (1, 1, 64, 64)).astype(np.float32)
    s1[..., :3] = np.nan
    expected = [
        np.clip(s2, 0, 10_000) / np.float32(10_000),
        np.clip(np.nan_to_num(s1), -25, 0) / np.float32(25) + np.float32(1),
    ]
    image = torch.from_numpy(np.concatenate([s2, s1], axis=1))
    scaled = ScaleBands(['B02', 'VV'], nan='baseline')(image)
    assert np.array_equal(scaled.numpy(), np.concatenate(expected, axis=1))


def test_nan_becomes_the_lowest_value_by_default() -> None:
    scaled = ScaleBands(['B02', 's1'])(_pixels(torch.nan, torch.nan, -5))
    assert scaled[0, :, 0, 0].tolist() == pytest.approx([0, 0, 0.8])


def test_scaling_takes_samples_and_leaves_their_masks() -> None:
    sample = {'image': _pixels(5000, -25)[0], 'mask': torch.ones(2, 2)}
    scaled = ScaleBands(['B02', 'VV'])(sample)
    assert scaled['image'][:, 0, 0].tolist() == [0.5, 0]
    assert scaled['mask'] is sample['mask']


def test_scaling_refuses_images_of_other_bands() -> None:
    with pytest.raises(ValueError, match='2 bands to scale, got 3'):
        ScaleBands(['s1'])(torch.rand(1, 3, 2, 2))
    with pytest.raises(ValueError, match=r"\('lowest', 'baseline'\), got 'zero'"):
        ScaleBands(['s1'], nan='zero')  # ty: ignore[invalid-argument-type]


@given(st.lists(st.sampled_from(sorted(BANDS)), min_size=1, unique=True), st.randoms())
def test_selection_finds_each_band_in_any_order(
    wanted: list[str], random: object
) -> None:
    source = list(BANDS)
    random.shuffle(source)  # ty: ignore[unresolved-attribute]
    image = _pixels(*(list(BANDS).index(name) for name in source))
    selected = SelectBands(source, wanted)(image)
    expected = [i for i, name in enumerate(BANDS) if name in wanted]
    assert selected[0, :, 0, 0].tolist() == expected


def test_selection_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"\('VV', 'VH'\) without \['B02'\]"):
        SelectBands(['VV', 'VH'], ['B02', 'VV'])
    with pytest.raises(ValueError, match='2 bands to select from, got 5'):
        SelectBands(['VV', 'VH'], ['VV'])(torch.rand(1, 5, 2, 2))


@pytest.mark.parametrize('size', [(6, 6), (5, 8)])
def test_symmetries_move_values_with_their_masks_and_matrices(
    size: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    image = torch.rand(32, 2, *size)
    mask = (image[:, 0] * 1e4).long()
    symmetry = RandomD4()
    sequence = K.AugmentationSequential(symmetry, data_keys=None, keepdim=True)
    moved = sequence({'image': image, 'mask': mask})
    assert torch.equal((moved['image'][:, 0] * 1e4).long(), moved['mask'])
    before, after = image.flatten(2).sort().values, moved['image'].flatten(2).sort()
    assert torch.equal(before, after.values)
    by_matrix = warp_perspective(
        image, symmetry.transform_matrix, size, align_corners=True
    )
    torch.testing.assert_close(by_matrix, moved['image'])


def test_all_8_symmetries_of_a_square_occur() -> None:
    torch.manual_seed(0)
    image = torch.arange(9.0).reshape(1, 1, 3, 3).expand(200, 1, 3, 3)
    assert len(RandomD4()(image).unique(dim=0)) == 8
    wide = torch.arange(12.0).reshape(1, 1, 3, 4).expand(200, 1, 3, 4)
    assert len(RandomD4()(wide).unique(dim=0)) == 4


def test_a_pixel_is_valid_if_any_band_has_data() -> None:
    image = torch.zeros(1, 3, 1, 4)
    image[0, :, 0, 0] = torch.nan
    image[0, 1, 0, 2] = 7
    image[0, 0, 0, 3] = -torch.inf
    assert valid_pixels(image).tolist() == [[[False, False, True, False]]]


@pytest.mark.parametrize('nan', ['lowest', 'baseline'])
def test_scaling_in_place_gives_the_same_bits(
    nan: Literal['lowest', 'baseline'],
) -> None:
    bands = ['s2-10m', 's1']
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(6, 70, 11, generator=generator) * 14_000 - 1000
    image[4:] = image[4:] / 300 - 30
    image[0, 0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    image[5, 69, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    expected = ScaleBands(bands, nan)(image[None])[0]
    found = ScaleBands(bands, nan).scale_(image)
    assert found is image
    assert torch.equal(found, expected)

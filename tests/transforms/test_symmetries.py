import kornia.augmentation as K
import pytest
import torch
from kornia.geometry.transform import warp_perspective

from dfc2020_geo.transforms import RandomD4


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


def test_images_and_masks_that_are_kept_never_change() -> None:
    sequence = K.AugmentationSequential(RandomD4(), data_keys=None, keepdim=True)
    kept = []
    for n in range(9):
        batch = {'image': torch.full((2, 3, 4, 4), float(n))}
        batch['mask'] = torch.full((2, 4, 4), n)
        moved = sequence(batch)
        kept.append((moved['image'][1], moved['mask'][0]))
    assert [[int(x.min()), int(x.max())] for pair in kept for x in pair] == [
        [n, n] for n in range(9) for _ in range(2)
    ]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
def test_every_type_of_image_is_turned(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    image = torch.arange(9).reshape(1, 1, 3, 3).expand(200, 1, 3, 3).to(dtype)
    turned = RandomD4()(image)
    assert turned.dtype == dtype
    assert len(turned.float().unique(dim=0)) == 8


def test_gradients_go_through() -> None:
    image = torch.rand(4, 2, 3, 3, requires_grad=True)
    weights = torch.rand(4, 2, 3, 3)
    symmetry = RandomD4()
    turned = symmetry(image)
    (turned * weights).sum().backward()
    assert image.grad is not None
    # What moves where a weight is takes its value: sums over an image stay.
    torch.testing.assert_close(image.grad.sum((2, 3)), weights.sum((2, 3)))

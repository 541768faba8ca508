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

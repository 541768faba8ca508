from collections import Counter

import kornia.augmentation as K
import pytest
import torch
from kornia.augmentation import GeometricAugmentationBase2D
from torch import Tensor

from dfc2020_geo.bands import NanPolicy, select_bands
from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.transforms import RandomD4
from dfc2020_geo.transforms.prepare import PrepareBatch


def _batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(9, (4, 32, 32), generator=generator)
    mask[:, :4] = IGNORE_INDEX
    return {'image': 1e4 * torch.rand(4, 2, 32, 32, generator=generator), 'mask': mask}


@pytest.mark.parametrize(
    'augmentations',
    [
        [],
        [RandomD4()],
        [K.RandomHorizontalFlip(), K.RandomRotation(45.0), K.RandomGaussianNoise()],
        [K.RandomResizedCrop((24, 24), p=1.0)],
    ],
    ids=len,
)
@pytest.mark.parametrize(
    ('bands', 'nan'),
    [(['B02', 'B12', 's1'], 'baseline'), (['B02'], 'lowest'), (['VH'], 'lowest')],
)
def test_stored_patches_become_what_their_images_become(
    augmentations: list[torch.nn.Module], bands: list[str], nan: NanPolicy
) -> None:
    generator = torch.Generator().manual_seed(0)
    counts = Counter(band.sensor for band in select_bands(bands))
    mask = torch.randint(9, (4, 32, 32), generator=generator).byte()
    mask[:, :4] = IGNORE_INDEX
    stored = {'mask': mask, 'other': torch.arange(4)}
    if 's1' in counts:
        stored['s1'] = (
            torch.rand(4, counts['s1'], 32, 32, generator=generator) * 40 - 30
        )
        stored['s1'][:, :, :3] = torch.nan
    if 's2' in counts:
        size = (4, counts['s2'], 32, 32)
        s2 = torch.randint(0, 2**16, size, generator=generator)
        stored['s2'] = s2.to(torch.uint16)
    image = torch.cat([stored[s].float() for s in ('s2', 's1') if s in stored], dim=1)
    batch = {'image': image, 'mask': mask.long(), 'other': torch.arange(4)}
    prepare = PrepareBatch(bands, nan, augmentations)
    copies = {key: value.clone() for key, value in stored.items()}
    found, expected = {}, {}
    for source, prepared in ((stored, found), (batch, expected)):
        torch.manual_seed(1)
        prepared |= prepare(source)
    assert found.keys() == {'image', 'mask', 'other'}
    assert {key: value.dtype for key, value in found.items()} == {
        'image': torch.float32,
        'mask': torch.int64,
        'other': torch.int64,
    }
    assert all(torch.equal(found[key], expected[key]) for key in found)
    assert all(_same_bits(stored[key], copies[key]) for key in stored)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.view(torch.uint8), other.view(torch.uint8))


def test_stored_patches_without_labels_are_scaled_alone() -> None:
    stored = {'s1': torch.full((2, 2, 3, 3), -5.0)}
    for augmentations in ([], [RandomD4()]):
        prepared = PrepareBatch(['s1'], augmentations=augmentations)(stored)
        assert prepared.keys() == {'image'}
        assert prepared['image'].unique().tolist() == pytest.approx([0.8])


def test_bands_that_are_missing_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"\{'s2': 1, 's1': 2\}.*got \[\(2, 1, 3, 3\)\]"
    ):
        PrepareBatch(['B02', 's1'])({'s2': torch.zeros(2, 1, 3, 3)})


class BilinearMask(GeometricAugmentationBase2D):
    """An augmentation that interpolates whatever it moves."""

    def compute_transformation(self, input: Tensor, *_: object, **__: object) -> Tensor:
        return torch.eye(3).expand(len(input), 3, 3)

    def apply_transform(self, input: Tensor, *_: object, **__: object) -> Tensor:
        return torch.nn.functional.avg_pool2d(input, 3, stride=1, padding=1)


def test_without_augmentation_masks_stay_as_they_are() -> None:
    batch = _batch()
    prepared = PrepareBatch(['B02', 'B03'])(batch)
    assert torch.equal(prepared['mask'], batch['mask'])
    assert prepared['mask'].dtype == torch.int64
    assert torch.equal(prepared['image'], batch['image'] / 1e4)


def test_pixels_moved_in_from_outside_are_ignored_not_class_0() -> None:
    batch = _batch()
    batch['mask'][:] = 3
    rotated = PrepareBatch(
        ['B02', 'B03'], augmentations=[K.RandomRotation(45.0, p=1.0)]
    )
    torch.manual_seed(0)
    assert set(rotated(batch)['mask'].unique().tolist()) == {3, IGNORE_INDEX}


@pytest.mark.parametrize(
    'augmentation',
    [
        K.RandomRotation90((1, 3), p=1.0),
        K.RandomAffine(30.0, p=1.0),
        K.RandomResizedCrop((24, 24), p=1.0),
        K.RandomPerspective(p=1.0),
        K.RandomErasing(p=1.0),
        K.RandomElasticTransform(p=1.0),
    ],
    ids=lambda augmentation: type(augmentation).__name__,
)
@pytest.mark.filterwarnings('ignore:Default grid_sample')
def test_augmentations_of_kornia_make_no_new_classes(
    augmentation: torch.nn.Module,
) -> None:
    batch = _batch()
    batch['mask'] = batch['mask'].where(batch['mask'] % 2 == 0, IGNORE_INDEX)
    prepare = PrepareBatch(['B02', 'B03'], augmentations=[augmentation])
    found = {i for _ in range(5) for i in prepare(batch)['mask'].unique().tolist()}
    assert found <= set(batch['mask'].unique().tolist())
    assert len(found) > 2


def test_an_augmentation_that_interpolates_masks_is_refused_by_name() -> None:
    for augmentation in (BilinearMask(p=0.05), BilinearMask(p=0.1, same_on_batch=True)):
        with pytest.raises(ValueError, match='got BilinearMask, which interpolates'):
            PrepareBatch(['B02'], augmentations=[augmentation])
        assert augmentation.p < 1


@pytest.mark.parametrize('augmentation', [K.RandomMixUpV2(), K.RandomJigsaw()])
def test_an_augmentation_without_masks_is_refused_by_name(
    augmentation: torch.nn.Module,
) -> None:
    with pytest.raises(ValueError, match=f'got {type(augmentation).__name__}'):
        PrepareBatch(['B02'], augmentations=[augmentation])


def test_checking_augmentations_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    PrepareBatch(['B02'], augmentations=[K.RandomHorizontalFlip()])
    assert torch.equal(torch.rand(1), expected)

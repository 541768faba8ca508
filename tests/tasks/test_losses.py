import pytest
import torch
from torch import nn

from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.tasks.losses import build_loss

names = pytest.mark.parametrize('name', ['ce', 'jaccard', 'dice', 'focal'])


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 9, 7, generator=generator)
    mask = torch.randint(5, (2, 9, 7), generator=generator)
    mask[0, :4] = IGNORE_INDEX
    return logits, mask


@names
def test_a_batch_without_valid_pixels_gives_0_and_no_gradient(name: str) -> None:
    logits = torch.randn(2, 5, 4, 4, requires_grad=True)
    loss = build_loss(name)(logits, torch.full((2, 4, 4), IGNORE_INDEX))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@names
def test_ignored_pixels_do_not_matter(
    name: str, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    logits, mask = batch
    other = logits.where((mask != IGNORE_INDEX)[:, None], 100 * torch.rand(()))
    loss = build_loss(name)
    assert loss(other, mask).item() == loss(logits, mask).item()


@names
def test_a_right_answer_costs_less_than_a_wrong_one(
    name: str, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    _, mask = batch
    right = 9.0 * nn.functional.one_hot(mask.where(mask < 5, 0), 5).movedim(-1, 1)
    loss = build_loss(name)
    assert loss(right, mask) < loss(right.roll(1, dims=1), mask)


@pytest.mark.parametrize('weights', [None, [1.0, 2.0, 0.5, 0.0, 4.0]])
def test_cross_entropy_is_that_of_torch(
    weights: list[float] | None, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    weight = None if weights is None else torch.tensor(weights)
    expected = nn.CrossEntropyLoss(weight, ignore_index=IGNORE_INDEX)(*batch)
    torch.testing.assert_close(build_loss('ce', weights)(*batch), expected)


def test_unfit_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"one of .*'focal'.*, got 'hinge'"):
        build_loss('hinge')
    with pytest.raises(ValueError, match="class_weights with loss 'ce' only"):
        build_loss('dice', [1.0])

import pytest
import torch
from torch import Tensor, nn

from dfc2020_geo.tasks.ensemble import average_probabilities


def _network(seed: int, num_classes: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Conv2d(3, num_classes, kernel_size=3, padding=1).eval()


IMAGES = torch.rand(2, 3, 7, 11, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_one_network_without_symmetries_answers_as_it_is() -> None:
    network = _network(0)
    answer, against = average_probabilities([network], IMAGES)
    torch.testing.assert_close(answer.softmax(1), network(IMAGES).softmax(1))
    assert (against == 0).all()


@torch.no_grad()
def test_probabilities_of_networks_are_averaged() -> None:
    one, other = _network(1), _network(2)
    answer, against = average_probabilities([one, other], IMAGES)
    shares = one(IMAGES).softmax(1), other(IMAGES).softmax(1)
    expected = (shares[0] + shares[1]) / 2
    torch.testing.assert_close(answer.softmax(1), expected)
    torch.testing.assert_close(answer.exp(), expected)
    elected = expected.argmax(1)
    differ = [(share.argmax(1) != elected).float() for share in shares]
    assert torch.equal(against, (differ[0] + differ[1]) / 2)
    assert {*against.unique().tolist()} >= {0.0, 0.5}


@torch.no_grad()
@pytest.mark.parametrize('axes', [(-1,), (-2,), (-2, -1)])
def test_with_symmetries_a_flipped_image_is_answered_flipped(axes: tuple) -> None:
    network = _network(3)
    answer, _ = average_probabilities([network], IMAGES, tta=True)
    flipped, _ = average_probabilities([network], IMAGES.flip(axes), tta=True)
    torch.testing.assert_close(flipped.flip(axes), answer)
    turned, _ = average_probabilities([network], IMAGES.rot90(1, (-2, -1)), tta=True)
    torch.testing.assert_close(turned.rot90(-1, (-2, -1)), answer)
    assert not torch.allclose(answer.softmax(1), network(IMAGES).softmax(1), atol=1e-3)


@torch.no_grad()
def test_all_eight_views_are_distinct_and_turned_back() -> None:
    seen: list[Tensor] = []

    def remember(images: Tensor) -> Tensor:
        seen.append(images)
        return images

    image = torch.arange(27.0).reshape(1, 3, 3, 3)
    answer, against = average_probabilities([remember], image, tta=True)
    assert len({tuple(view.flatten().tolist()) for view in seen}) == 8
    torch.testing.assert_close(answer.exp(), image.softmax(1))
    assert (against == 0).all()


@torch.no_grad()
def test_certain_networks_leave_no_infinite_logits() -> None:
    answer, _ = average_probabilities(
        [lambda x: torch.tensor([1e4, -1e4]).reshape(1, 2, 1, 1)], IMAGES
    )
    assert answer.isfinite().all()

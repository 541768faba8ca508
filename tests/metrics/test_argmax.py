"""The best class of each pixel against numpy, whatever the memory looks like."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dfc2020_geo.metrics.argmax import best_class

#: Pixels beside each other on either side of a block's end, and rows longer than one.
SHAPES = [
    (5,),
    (5, 3),
    (5, 20_000),
    (3, 2, 9_000),
    (2, 130, 128),
    (4, 3, 100, 90),
    (1, 40, 30),
    (255, 7, 5),
    (3, 2, 2, 3, 4),
]


def scores_with_ties(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 3, shape, generator=generator).float()


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_it_is_the_first_of_the_highest_on_every_axis(shape: tuple[int, ...]) -> None:
    scores = scores_with_ties(*shape)
    for dim in range(len(shape)):
        if shape[dim] > 255:
            continue
        expected = scores.numpy().argmax(dim)
        for axis in (dim, dim - len(shape)):
            classes = best_class(scores, dim=axis)
            assert classes.dtype == torch.uint8
            assert np.array_equal(classes.numpy(), expected)


special = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan])


@settings(deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(0, 8))
def test_nan_is_the_highest_and_infinity_a_number(
    data: st.DataObject, num_classes: int, pixels: int
) -> None:
    size = num_classes * pixels
    values = data.draw(st.lists(special, min_size=size, max_size=size))
    scores = np.array(values, np.float32).reshape(num_classes, pixels)
    classes = best_class(torch.from_numpy(scores))
    assert np.array_equal(classes.numpy(), scores.argmax(axis=0))


def test_one_nan_changes_no_other_pixel() -> None:
    scores = scores_with_ties(4, 300, 200)
    expected = scores.numpy().argmax(axis=0)
    scores[2, 150, 7] = torch.nan
    expected[150, 7] = 2
    assert np.array_equal(best_class(scores).numpy(), expected)


@pytest.mark.parametrize(
    'dtype',
    [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int16],
    ids=str,
)
def test_every_real_type_is_compared_as_it_is(dtype: torch.dtype) -> None:
    scores = (scores_with_ties(2, 5, 140, 130, seed=1) * 30).to(dtype)
    expected = scores.double().numpy().argmax(axis=1)
    assert np.array_equal(best_class(scores, dim=1).numpy(), expected)


def test_integers_that_no_float_tells_apart_are_told_apart() -> None:
    scores = torch.tensor([2**60, 2**60 + 1, 2**60])
    assert best_class(scores) == 1


def test_the_layout_in_memory_changes_nothing() -> None:
    scores = scores_with_ties(2, 6, 150, 140, seed=2)
    expected = scores.numpy().argmax(axis=1)
    layouts = {
        'channels last': scores.to(memory_format=torch.channels_last),
        'columns first': scores.mT.contiguous().mT,
        'every other': scores.repeat_interleave(2, dim=3)[..., ::2],
        'a part': torch.nn.functional.pad(scores, (3, 4, 5, 6))[..., 5:-6, 3:-4],
        'batch last': scores.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    }
    for name, same in layouts.items():
        assert torch.equal(same, scores)
        assert np.array_equal(best_class(same, dim=1).numpy(), expected), name
    same_everywhere = scores[:1, :, :1, :1].expand(1, 6, 150, 140)
    assert (best_class(same_everywhere, dim=1) == expected[0, 0, 0]).all()


def test_scores_stay_as_they_are_and_may_need_gradients() -> None:
    scores = scores_with_ties(3, 20, 10).requires_grad_()
    before = scores.detach().clone()
    classes = best_class(scores)
    assert not classes.requires_grad
    assert torch.equal(scores, before)
    with torch.inference_mode():
        assert torch.equal(best_class(before), classes)


def test_without_pixels_there_is_nothing_to_find() -> None:
    assert best_class(torch.zeros(2, 3, 0, 4), dim=1).shape == (2, 0, 4)
    assert best_class(torch.zeros(0, 3, 5, 4), dim=1).shape == (0, 5, 4)


@pytest.mark.parametrize('count', [0, 256, 300])
def test_classes_that_a_byte_does_not_hold_are_refused(count: int) -> None:
    message = rf'of 1 to 255 classes, got {count} on axis 1 of \(2, {count}, 4\)'
    with pytest.raises(ValueError, match=message):
        best_class(torch.zeros(2, count, 4), dim=1)


def test_the_highest_class_is_the_last_that_a_byte_holds() -> None:
    assert best_class(torch.eye(255)).tolist() == list(range(255))


def test_on_a_device_no_value_is_looked_at() -> None:
    # Tensors without values: whatever needs one fails.
    classes = best_class(torch.empty(2, 5, 8, 6, device='meta'), dim=1)
    assert (classes.shape, classes.dtype) == ((2, 8, 6), torch.uint8)

"""Counting against scikit-learn, on a processor and as an accelerator does it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix
from torch import Tensor

from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.metrics import SegmentationScores
from dfc2020_geo.metrics.confusion import _count_places, count_confusion

Count = Callable[[Tensor, Tensor, int, int], Tensor]

WAYS = pytest.mark.parametrize('count', [count_confusion, _count_places])


def random_maps(seed: int, num_classes: int) -> tuple[Tensor, Tensor]:
    """Draw answers and truth, with ignored pixels and some classes absent."""
    generator = np.random.default_rng(seed)
    present = generator.permutation(num_classes)[: generator.integers(1, num_classes)]
    values = [*present, IGNORE_INDEX]
    prediction, target = generator.choice(values, (2, 3, 17, 23))
    return torch.from_numpy(prediction), torch.from_numpy(target)


@WAYS
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 20))
def test_counts_are_those_of_scikit_learn(
    count: Count, seed: int, num_classes: int
) -> None:
    prediction, target = random_maps(seed, num_classes)
    counts = count(prediction, target, num_classes, IGNORE_INDEX)
    known = [*range(num_classes), IGNORE_INDEX]
    expected = confusion_matrix(target.flatten(), prediction.flatten(), labels=known)
    assert counts.dtype == torch.int64
    assert np.array_equal(counts[:-1, :-1], expected)
    assert counts.sum() == target.numel()


@WAYS
@pytest.mark.parametrize(
    'dtype',
    [torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64],
    ids=str,
)
def test_every_integer_type_counts_alike(count: Count, dtype: torch.dtype) -> None:
    prediction, target = random_maps(1, 6)
    expected = count(prediction, target, 6, IGNORE_INDEX)
    typed = count(prediction.to(dtype), target.to(dtype), 6, IGNORE_INDEX)
    assert torch.equal(typed, expected)


@WAYS
def test_the_ignored_index_may_follow_the_classes(count: Count) -> None:
    prediction, target = torch.tensor([[0, 1, 2, 2], [0, 2, 1, 2]])
    assert count(prediction, target, 2, 2).tolist() == [
        [1, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]


@WAYS
def test_255_classes_are_counted(count: Count) -> None:
    every = torch.arange(256)
    counts = count(every.flip(0), every, 255, 255)
    assert torch.equal(counts[:-1, :-1], torch.eye(256).long().flip(0))


@WAYS
def test_views_count_like_copies_and_stay_as_they_are(count: Count) -> None:
    prediction, target = random_maps(2, 5)
    views = prediction.mT, target.mT
    before = [view.clone() for view in views]
    counts = count(*views, 5, IGNORE_INDEX)
    assert torch.equal(counts, count(prediction, target, 5, IGNORE_INDEX))
    assert all(map(torch.equal, views, before))
    one_row = count(prediction[:, :1].expand_as(target), target, 5, IGNORE_INDEX)
    copied = prediction[:, :1].repeat(1, 17, 1)
    assert torch.equal(one_row, count(copied, target, 5, IGNORE_INDEX))


@WAYS
@pytest.mark.parametrize('shape', [(), (0,), (0, 4, 4), (1, 2, 3, 4)], ids=str)
def test_any_shape_is_counted(count: Count, shape: tuple[int, ...]) -> None:
    ones = torch.ones(shape, dtype=torch.long)
    counts = count(ones, ones, 2, IGNORE_INDEX)
    assert counts[1, 1] == counts.sum() == ones.numel()


WRONG = torch.tensor([3, 254, 256, -1, -(2**40), 2**40])


def test_an_accelerator_counts_wrong_values_apart() -> None:
    right = torch.zeros_like(WRONG)
    assert _count_places(WRONG, right, 3, IGNORE_INDEX)[0].tolist() == [0, 0, 0, 0, 6]
    assert _count_places(right, WRONG, 3, IGNORE_INDEX)[:, 0].tolist() == [
        *(0, 0, 0, 0, 6)
    ]


@pytest.mark.parametrize('name', ['target', 'prediction'])
def test_wrong_values_of_an_accelerator_are_refused_with_the_scores(name: str) -> None:
    maps = {'prediction': torch.zeros_like(WRONG), 'target': torch.zeros_like(WRONG)}
    scores = SegmentationScores(3)
    scores.update(**maps)
    scores.merge_state(
        {
            'counts': _count_places(
                **maps | {name: WRONG}, num_classes=3, ignore_index=IGNORE_INDEX
            )
        }
    )
    message = rf'Expected a {name} from 0 to 2 or 255 \(ignored\), got others in 6 pix'
    with pytest.raises(ValueError, match=message):
        scores.compute()
    with pytest.raises(ValueError, match=message):
        scores.summary()
    scores.reset()
    scores.update(**maps)
    assert scores.summary()['pixels'] == 6


def test_types_that_are_not_integer_are_refused() -> None:
    ones = torch.ones(4, dtype=torch.long)
    with pytest.raises(ValueError, match=r'target of an integer type, got torch.float'):
        count_confusion(ones, ones.float(), 3, IGNORE_INDEX)
    with pytest.raises(ValueError, match=r'prediction of an integer type, got torch.c'):
        count_confusion(ones.to(torch.complex64), ones, 3, IGNORE_INDEX)


def test_no_value_on_a_device_is_looked_at() -> None:
    # Tensors without values: whatever needs one, and so would wait for it, fails.
    logits = torch.empty(2, 3, 8, 6, device='meta')
    target = torch.empty(2, 8, 6, device='meta', dtype=torch.uint8)
    with pytest.raises(NotImplementedError, match='bincount'):
        torch.bincount(target.flatten(), minlength=256)
    scores = SegmentationScores(3).to('meta')
    scores.update(logits, target)
    scores.update(target, target.long())
    assert scores(logits, target)['AA'].shape == ()
    assert scores.counts.device.type == 'meta'


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('deterministic', [False, True])
def test_a_gpu_is_not_waited_for_and_counts_alike(deterministic: bool) -> None:
    prediction, target = random_maps(3, 6)
    logits = torch.randn(3, 6, 17, 23)
    here, there = SegmentationScores(6), SegmentationScores(6).cuda()
    here.update(logits, target)
    here.update(prediction, target)
    inputs = [x.cuda() for x in (logits, prediction, target)]
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic)
    torch.cuda.set_sync_debug_mode('error')
    try:
        there(inputs[0], inputs[2])
        there(inputs[1], inputs[2])
    finally:
        torch.cuda.set_sync_debug_mode('default')
        torch.use_deterministic_algorithms(before)
    assert torch.equal(there.counts.cpu(), here.counts)

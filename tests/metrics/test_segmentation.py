"""Scores against the 2020 baseline's figures, scikit-learn, and their own laws."""

import json
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torch import Tensor

from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.metrics import SegmentationScores
from tests.support import DATA

GOLDEN = DATA / 'metrics.npz'
CASES = (
    'all_classes',
    'with_ignore',
    'absent_in_truth',
    'absent_in_both',
    'one_patch_all_ignored',
    'ten_classes',
)
NAMES = ['AA', 'mIoU', 'mIoU_all', 'OA', 'F1', 'kappa']


def score(prediction: Tensor, target: Tensor, num_classes: int) -> SegmentationScores:
    scores = SegmentationScores(num_classes)
    scores.update(prediction, target)
    return scores


def random_maps(
    num_classes: int, truth: list[int], answers: list[int], seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a truth with ignored pixels, and answers that are right half the time."""
    rng = np.random.default_rng(seed)
    target = rng.choice([*truth, IGNORE_INDEX], (3, 20, 30))
    guesses = rng.choice(answers, target.shape)
    right = (rng.random(target.shape) < 0.5) & np.isin(target, answers)
    return np.where(right, target, guesses), target


a_class_or_ignored = st.integers(0, 3) | st.just(IGNORE_INDEX)
pixels = st.lists(st.tuples(a_class_or_ignored, a_class_or_ignored), max_size=40)


def to_maps(pairs: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    prediction, target = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    return prediction, target


@pytest.mark.parametrize('case', CASES)
def test_scores_equal_those_of_the_baseline(case: str) -> None:
    with np.load(GOLDEN) as golden:
        gt, pred, num_classes, confusion, aa, iou, miou = (
            golden[f'{case}/{name}']
            for name in ('gt', 'pred', 'n_classes', 'confusion', 'aa', 'iou', 'miou')
        )
    scores = score(torch.from_numpy(pred), torch.from_numpy(gt), int(num_classes))
    summary = scores.summary()
    assert np.array_equal(summary['confusion_matrix'], confusion)
    assert summary['scores']['AA'] == pytest.approx(aa, abs=1e-9)
    assert summary['scores']['mIoU_all'] == pytest.approx(miou, abs=1e-9)
    assert [row['IoU'] or 0 for row in summary['classes']] == pytest.approx(
        iou.tolist()
    )
    computed = scores.compute()
    assert computed['AA'].item() == pytest.approx(aa, abs=1e-6)
    assert computed['mIoU_all'].item() == pytest.approx(miou, abs=1e-6)


@pytest.mark.parametrize(
    ('truth', 'answers'),
    [
        (list(range(8)), list(range(8))),
        ([0, 1, 3, 7], list(range(8))),
        ([0, 1, 3, 7], [1, 2, 3]),
        ([5], [4, 5]),
        ([2], [0, 1]),
    ],
    ids=['all', 'absent in truth', 'absent in both', 'one class', 'all wrong'],
)
def test_scores_agree_with_scikit_learn(truth: list[int], answers: list[int]) -> None:
    prediction, target = random_maps(8, truth, answers)
    result = score(torch.from_numpy(prediction), torch.from_numpy(target), 8).summary()
    valid = target != IGNORE_INDEX
    y, y_hat = target[valid], prediction[valid]
    options = {'labels': truth, 'average': 'macro', 'zero_division': 0}
    present_iou = sklearn_metrics.jaccard_score(y, y_hat, **options)
    assert result['scores'] == pytest.approx(
        {
            'AA': sklearn_metrics.recall_score(y, y_hat, **options),
            'mIoU': present_iou,
            'mIoU_all': present_iou * len(truth) / 8,
            'OA': sklearn_metrics.accuracy_score(y, y_hat),
            'F1': sklearn_metrics.f1_score(y, y_hat, **options),
            'kappa': sklearn_metrics.cohen_kappa_score(y, y_hat),
        }
    )
    options = {'labels': list(range(8)), 'average': None, 'zero_division': np.nan}
    columns = {
        'recall': sklearn_metrics.recall_score,
        'precision': sklearn_metrics.precision_score,
        'F1': sklearn_metrics.f1_score,
    }
    for column, function in columns.items():
        ours = [np.nan if r[column] is None else r[column] for r in result['classes']]
        assert ours == pytest.approx(
            function(y, y_hat, **options).tolist(), nan_ok=True
        )


def test_scores_of_a_case_counted_by_hand() -> None:
    # Truth 0 0 0 1 1; class 2 is answered once and never true. Recalls 2/3 and 1/2.
    target = torch.tensor([0, 0, 0, 1, 1, IGNORE_INDEX])
    prediction = torch.tensor([0, 0, 1, 1, 2, 0])
    summary = score(prediction, target, 4).summary()
    iou = (2 / 3, 1 / 3)
    assert summary['scores'] == pytest.approx(
        {
            'AA': (2 / 3 + 1 / 2) / 2,
            'mIoU': sum(iou) / 2,
            'mIoU_all': sum(iou) / 4,
            'OA': 3 / 5,
            'F1': (4 / 5 + 2 / 4) / 2,
            'kappa': (3 / 5 - 10 / 25) / (1 - 10 / 25),
        }
    )
    assert summary['classes'][2:] == [
        {
            'name': '2',
            'recall': None,
            'precision': 0,
            'IoU': 0,
            'F1': 0,
            'support': 0,
            'predicted': 1,
        },
        {'name': '3', 'recall': None, 'precision': None, 'IoU': None, 'F1': None}
        | {'support': 0, 'predicted': 0},
    ]
    assert summary['pixels'] == 5


def test_a_refused_answer_is_a_miss_and_no_false_alarm() -> None:
    target = torch.tensor([0, 0, 1, 1])
    summary = score(torch.tensor([0, IGNORE_INDEX, 1, 1]), target, 2).summary()
    assert summary['confusion_matrix'] == [[1, 0], [0, 2]]
    assert summary['classes'][0]['recall'] == 0.5
    assert summary['classes'][0]['precision'] == 1
    assert summary['classes'][0]['support'] == 2
    assert summary['scores']['OA'] == 0.75
    assert summary['pixels'] == 4


def test_logits_count_like_their_largest_class() -> None:
    logits = torch.randn(2, 5, 8, 6, generator=torch.Generator().manual_seed(0))
    logits[:, 3] = logits[:, 1]  # the first of equal values wins
    target = torch.randint(5, (2, 8, 6), generator=torch.Generator().manual_seed(1))
    indices = torch.from_numpy(logits.numpy().argmax(axis=1))
    by_logits, by_indices = score(logits, target, 5), score(indices, target, 5)
    assert torch.equal(by_logits.confusion, by_indices.confusion)


@pytest.mark.parametrize(
    'change',
    [
        lambda logits: logits,
        lambda logits: logits.to(memory_format=torch.channels_last),
        lambda logits: logits.mT.contiguous().mT,
        lambda logits: logits[..., :50, :],
        lambda logits: logits.bfloat16(),
        lambda logits: logits.half(),
        lambda logits: logits.requires_grad_(),
    ],
    ids=['as is', 'channels last', 'turned', 'a part', 'bf16', 'half', 'with grad'],
)
def test_counts_of_logits_are_those_of_scikit_learn(
    change: Callable[[Tensor], Tensor],
) -> None:
    # Numbers that half precision holds, some of them equal; class 4 is never true.
    generator = torch.Generator().manual_seed(2)
    logits = change(torch.randint(-20, 20, (3, 6, 70, 90), generator=generator) / 4)
    truth = torch.tensor([0, 1, 2, 3, 5, IGNORE_INDEX])
    target = truth[torch.randint(6, logits[:, 0].shape, generator=generator)]
    answers = logits.detach().double().numpy().argmax(axis=1)
    valid = target.numpy() != IGNORE_INDEX
    expected = sklearn_metrics.confusion_matrix(
        target.numpy()[valid], answers[valid], labels=range(6)
    )
    confusion = score(logits, target.byte(), 6).confusion
    assert np.array_equal(confusion[:, :6], expected)
    assert confusion[:, 6].sum() == 0


@pytest.mark.parametrize(
    'dtype', [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32]
)
def test_any_integer_type_counts_alike(dtype: torch.dtype) -> None:
    prediction, target = torch.tensor([[0, 1, 2, 2], [0, 1, 1, 2]])
    scores = score(prediction.to(dtype), target.to(dtype), 3)
    assert scores.confusion[:, :3].tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


@settings(deadline=None, max_examples=25)
@given(pixels, st.lists(st.integers(0, 40), max_size=4))
def test_any_division_into_batches_gives_the_same(
    pairs: list[tuple[int, int]], cuts: list[int]
) -> None:
    prediction, target = to_maps(pairs)
    divided = SegmentationScores(4)
    for batch in zip(
        prediction.tensor_split(sorted(cuts)),
        target.tensor_split(sorted(cuts)),
        strict=True,
    ):
        divided.update(*batch)
    assert torch.equal(divided.confusion, score(prediction, target, 4).confusion)


@settings(deadline=None, max_examples=25)
@given(pixels, st.permutations(range(4)))
def test_renaming_the_classes_changes_no_overall_score(
    pairs: list[tuple[int, int]], names: list[int]
) -> None:
    table = torch.full((256,), IGNORE_INDEX)
    table[:4] = torch.tensor(names)
    prediction, target = to_maps(pairs)
    before = score(prediction, target, 4)
    after = score(table[prediction], table[target], 4)
    assert torch.equal(after.confusion[names][:, [*names, 4]], before.confusion)
    assert torch.tensor(list(after.compute().values())).allclose(
        torch.tensor(list(before.compute().values())), equal_nan=True
    )


@settings(deadline=None)
@given(st.sets(st.integers(0, 3), min_size=2))
def test_a_perfect_prediction_scores_one(classes: set[int]) -> None:
    target = torch.tensor(sorted(classes))
    scores = score(target, target, 4).compute()
    assert scores.pop('mIoU_all').item() == pytest.approx(len(classes) / 4)
    assert {value.item() for value in scores.values()} == {1}


def test_merged_scores_equal_those_of_all_at_once() -> None:
    prediction, target = map(torch.from_numpy, random_maps(5, [0, 1, 2, 4], [0, 1, 3]))
    first = score(prediction[:1], target[:1], 5)
    first.merge_state(score(prediction[1:], target[1:], 5))
    assert first.summary() == score(prediction, target, 5).summary()


def test_processes_together_score_like_one() -> None:
    prediction, target = map(torch.from_numpy, random_maps(5, [0, 1, 2, 4], [0, 1, 3]))
    here = score(prediction[:1], target[:1], 5)
    there = score(prediction[1:], target[1:], 5)
    alone = here.summary()
    # As torch.distributed would: every process gets the counts of all.
    here.distributed_available_fn = lambda: True
    here.dist_sync_fn = lambda counts, group: [counts, there.counts]
    whole = score(prediction, target, 5)
    assert here.summary() == whole.summary() != alone
    assert here.compute() == whole.compute()
    assert here.summary() == whole.summary()


def test_forward_returns_the_batch_and_keeps_the_whole() -> None:
    scores = SegmentationScores(2, prefix='val_')
    right, wrong = torch.tensor([0, 1]), torch.tensor([1, 0])
    assert scores(right, right)['val_OA'] == 1
    assert scores(wrong, right)['val_OA'] == 0
    assert scores.compute()['val_OA'] == 0.5
    assert list(scores.compute()) == [f'val_{name}' for name in NAMES]
    scores.reset()
    assert scores.confusion.sum() == 0


def test_forward_takes_what_update_takes_and_counts_it_once() -> None:
    prediction, target = map(torch.from_numpy, random_maps(5, [0, 1, 2, 4], [0, 1, 3]))
    scores, updated = SegmentationScores(5), SegmentationScores(5)
    for one in (scores, updated):
        one.update(prediction[:1], target[:1])
    batch = scores(prediction=prediction[1:], target=target[1:])
    updated.update(prediction[1:], target[1:])
    assert torch.equal(scores.counts, updated.counts)
    assert scores.update_count == 2
    assert batch == score(prediction[1:], target[1:], 5).compute() != scores.compute()


def test_counts_made_in_inference_mode_can_be_added_to() -> None:
    ones, scores = torch.ones(3, dtype=torch.long), SegmentationScores(2)
    with torch.inference_mode():
        scores(ones, ones)
    scores.update(ones, ones)
    assert scores.compute()['OA'] == 1
    assert scores.confusion.sum() == 6


def test_half_precision_does_not_touch_the_counts() -> None:
    scores = score(torch.tensor([0, 1]), torch.tensor([0, 1]), 2).half()
    assert scores.confusion.dtype == torch.int64
    assert scores.compute()['OA'].dtype == torch.float32


def test_without_valid_pixels_every_score_is_undefined() -> None:
    ignored = torch.full((2, 4, 4), IGNORE_INDEX)
    scores = score(torch.zeros(2, 3, 4, 4), ignored, 3)
    assert all(value.isnan() for value in scores.compute().values())
    summary = scores.summary()
    assert summary['scores'] == dict.fromkeys(NAMES)
    assert summary['pixels'] == 0
    json.dumps(summary, allow_nan=False)


def test_kappa_of_one_class_is_undefined_and_the_rest_is_not() -> None:
    zeros = torch.zeros(2, 4, 4, dtype=torch.uint8)
    summary = score(zeros, zeros, 3).summary()
    assert summary['scores'] == {
        'AA': 1,
        'mIoU': 1,
        'mIoU_all': pytest.approx(1 / 3),
        'OA': 1,
        'F1': 1,
        'kappa': None,
    }


def test_an_empty_batch_changes_nothing() -> None:
    empty = torch.zeros(0, 4, 4, dtype=torch.long)
    assert score(empty, empty, 3).confusion.sum() == 0


def test_a_summary_survives_strict_json() -> None:
    prediction, target = random_maps(4, [0, 1], [0, 1, 2])
    scores = SegmentationScores(4, labels=['Forest', 'Water', 'Urban/Built-up', 'é'])
    scores.update(torch.from_numpy(prediction), torch.from_numpy(target))
    summary = scores.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert [row['name'] for row in summary['classes']] == scores.labels


ONES = torch.ones(2, 4, dtype=torch.long)


@pytest.mark.parametrize(
    ('prediction', 'target', 'message'),
    [
        (ONES, 3 * ONES, r'Expected a target from 0 to 2 or 255 \(ignored\), got \[3'),
        (4 * ONES, ONES, r'Expected a prediction from 0 to 2 or 255 .*, got \[4\]'),
        (-ONES, ONES, 'Expected a prediction from 0 to 255, got -1'),
        (ONES, 300 * ONES, 'Expected a target from 0 to 255, got 300'),
        (
            ONES,
            ONES.float(),
            r'Expected a target of an integer type, got torch.float32',
        ),
        (ONES[:1], ONES, r'prediction of shape \(2, 4\) like the target, got \(1, 4\)'),
        (ONES.float(), ONES, r'Expected logits of shape \(B, 3, ...\), got \(2, 4\)'),
        (torch.rand(2, 5, 4), ONES, r'Expected logits of shape \(B, 3, .*, got \(2, 5'),
    ],
)
def test_wrong_values_and_shapes_are_refused(
    prediction: Tensor, target: Tensor, message: str
) -> None:
    scores = SegmentationScores(3)
    with pytest.raises(ValueError, match=message):
        scores.update(prediction, target)
    assert scores.confusion.sum() == 0


@pytest.mark.parametrize('ignore_index', [-100, 0, 2, 256])
def test_an_ignored_class_is_refused(ignore_index: int) -> None:
    with pytest.raises(ValueError, match=rf'num_classes=3 to 255, got {ignore_index}'):
        SegmentationScores(3, ignore_index=ignore_index)


def test_labels_must_fit_the_classes() -> None:
    with pytest.raises(ValueError, match=r"Expected 3 labels, got \['a', 'b'\]"):
        SegmentationScores(3, labels=['a', 'b'])


def test_no_warning_is_raised_where_nothing_is_defined() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        score(ONES, 255 * ONES, 3).summary()

"""The scores of a confusion matrix against scikit-learn's of its pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from dfc2020_geo.metrics.scores import class_scores, scores_from_confusion


@given(arrays(np.int64, (3, 4), elements=st.integers(0, 5)).filter(np.any))
def test_scores_of_each_class_are_those_of_its_pixels(confusion: np.ndarray) -> None:
    truth, answers = np.repeat(
        np.indices(confusion.shape).reshape(2, -1), confusion.ravel(), axis=1
    )
    labels = [0, 1, 2]
    found = class_scores(torch.from_numpy(confusion))
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        truth, answers, labels=labels, zero_division=np.nan
    )
    assert found['support'].tolist() == list(support)
    assert found['predicted'].tolist() == [(answers == c).sum() for c in labels]
    expected = {'precision': precision, 'recall': recall, 'F1': f1}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values, err_msg=name)
    either = np.array([((truth == c) | (answers == c)).any() for c in labels])
    iou = sklearn_metrics.jaccard_score(
        truth, answers, labels=labels, average=None, zero_division=0
    )
    np.testing.assert_allclose(found['IoU'].numpy(), np.where(either, iou, np.nan))


def test_a_square_matrix_is_scored_as_well() -> None:
    scores = scores_from_confusion(torch.tensor([[3, 1], [2, 4]]))
    assert scores['AA'].item() == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert scores['AA'].dtype == torch.float64


def test_counts_beyond_single_precision_stay_exact() -> None:
    many = 2**40
    scores = scores_from_confusion(torch.tensor([[many, 1], [0, many]]))
    assert 1 - scores['OA'].item() == pytest.approx(1 / (2 * many + 1), rel=1e-3)

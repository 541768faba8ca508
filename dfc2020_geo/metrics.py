"""Scores of a segmentation, all from one confusion matrix."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from .classes import IGNORE_INDEX

#: Values that one byte holds, as those of class indices and the ignored index.
_NUM_VALUES = 256


class SegmentationScores(Metric):
    """AA, mIoU, mIoU_all, OA, F1 and kappa of all pixels since the last reset.

    Pixels are pooled over patches, batches and processes before any score is formed,
    so the scores are exact however the pixels are divided. They are defined in
    :func:`scores_from_confusion`. ``torchmetrics`` differs: its macro averages also
    count classes that are predicted but never occur.

    A pixel counts if its truth is a class. If its prediction is the ignored index
    (a map without data there), the answer is wrong: it lowers recall, IoU, F1, OA and
    kappa, but no class's precision.

    Attributes:
        confusion: Pixel counts of shape ``(num_classes, num_classes + 1)``, int64;
            rows are the truth, columns the prediction, the last one no answer.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor

    def __init__(
        self,
        num_classes: int,
        labels: Sequence[str] | None = None,
        ignore_index: int = IGNORE_INDEX,
        prefix: str = '',
    ) -> None:
        """Initialize scores without any pixel.

        Args:
            num_classes: Number of classes of the scheme.
            labels: Name of each class, for :meth:`summary`; by default its index.
            ignore_index: Index of pixels that are not counted.
            prefix: What the names of the computed scores begin with, as ``'val_'``.

        Raises:
            ValueError: If *ignore_index* is a class or does not fit a byte, or there
                is not one label per class.
        """
        super().__init__()
        if not 0 < num_classes <= ignore_index < _NUM_VALUES:
            raise ValueError(
                f'Expected an ignore_index from num_classes={num_classes} to '
                f'{_NUM_VALUES - 1}, got {ignore_index}.'
            )
        self.labels = list(map(str, range(num_classes)) if labels is None else labels)
        if len(self.labels) != num_classes:
            raise ValueError(f'Expected {num_classes} labels, got {self.labels}.')
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.prefix = prefix
        counts = torch.zeros(num_classes, num_classes + 1, dtype=torch.long)
        self.add_state('confusion', counts, dist_reduce_fx='sum')

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count the pixels of one batch.

        Args:
            prediction: Logits or probabilities of shape ``(B, num_classes, ...)``,
                float, or class indices of the shape of *target*, any integer type.
            target: True class indices of any shape such as ``(B, H, W)``, any integer
                type.

        Raises:
            ValueError: If shapes do not match or a value is neither a class nor the
                ignored index.
        """
        if prediction.is_floating_point():
            if prediction.shape[1:2] != (self.num_classes,):
                raise ValueError(
                    f'Expected logits of shape (B, {self.num_classes}, ...), '
                    f'got {tuple(prediction.shape)}.'
                )
            # On a CPU, argmax takes five times as long as max, which also returns
            # the first of equal values.
            prediction = prediction.max(dim=1).indices
        if prediction.shape != target.shape:
            raise ValueError(
                f'Expected a prediction of shape {tuple(target.shape)} like the '
                f'target, got {tuple(prediction.shape)}.'
            )
        counts = _count_pairs(target, prediction)
        self._check_values('target', counts.any(dim=1))
        self._check_values('prediction', counts.any(dim=0))
        classes = slice(self.num_classes)
        self.confusion[:, classes] += counts[classes, classes]
        self.confusion[:, -1] += counts[classes, self.ignore_index]

    def compute(self) -> dict[str, Tensor]:
        """Compute the scores.

        Returns:
            Each score of :func:`scores_from_confusion` by its name with the prefix,
            a scalar of float32; NaN where it is not defined.
        """
        # In double precision, which some accelerators do not have.
        scores = scores_from_confusion(self.confusion.cpu())
        return {
            f'{self.prefix}{name}': score.float().to(self.confusion.device)
            for name, score in scores.items()
        }

    def summary(self) -> dict[str, Any]:
        """Return everything there is to report, in plain types for JSON.

        Where processes share the work, each of them must call this.

        Returns:
            ``'scores'`` (each score by its name, without the prefix), ``'classes'``
            (a list of ``name``, ``recall``, ``precision``, ``IoU``, ``F1``,
            ``support`` (pixels in the truth) and ``predicted`` (pixels)),
            ``'confusion_matrix'`` (a list of rows, the truth; support minus a row's
            sum is the pixels without an answer) and ``'pixels'``. Undefined values
            are None: the recall of a class that is not in the truth, the precision
            of one that is never predicted, IoU and F1 of one that is neither.
        """
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            confusion = self.confusion.cpu()
        by_class = _class_scores(confusion)
        return {
            'scores': {
                name: _plain(score.item())
                for name, score in scores_from_confusion(confusion).items()
            },
            'classes': [
                {'name': label} | _class_row(by_class, index)
                for index, label in enumerate(self.labels)
            ],
            'confusion_matrix': confusion[:, :-1].tolist(),
            'pixels': confusion.sum().item(),
        }

    def _check_values(self, name: str, occurs: Tensor) -> None:
        """Check that of all values only classes and the ignored index occur."""
        found = occurs.nonzero().flatten().tolist()
        wrong = [i for i in found if i >= self.num_classes and i != self.ignore_index]
        if wrong:
            raise ValueError(
                f'Expected a {name} from 0 to {self.num_classes - 1} or '
                f'{self.ignore_index} (ignored), got {wrong[:10]}.'
            )


def scores_from_confusion(confusion: Tensor) -> dict[str, Tensor]:
    """Compute every overall score of a confusion matrix.

    Args:
        confusion: Pixel counts of shape ``(C, C)``, rows are the truth; or
            ``(C, C + 1)``, where the last column is pixels without an answer.

    Returns:
        Scalars of float64, NaN where they are not defined (all without a pixel):

        * ``AA``, average accuracy: mean recall of the classes in the truth, the score
          of the contest (https://doi.org/10.21227/rha7-m332).
        * ``mIoU``: mean intersection over union of the classes in the truth.
        * ``mIoU_all``: mean intersection over union of all C classes, 0 for a class
          that is not in the truth; the mIoU that the 2020 baseline published.
        * ``OA``, overall accuracy: share of the pixels that are right.
        * ``F1``: mean F1 score of the classes in the truth.
        * ``kappa``: Cohen's kappa (https://doi.org/10.1177/001316446002000104); not
          defined if truth and prediction are one and the same class everywhere.
    """
    by_class = _class_scores(confusion)
    present = by_class['support'] > 0
    pixels = by_class['support'].sum()
    agreement = confusion.double().diagonal().sum() / pixels
    chance = (by_class['support'] / pixels * (by_class['predicted'] / pixels)).sum()
    return {
        'AA': by_class['recall'][present].mean(),
        'mIoU': by_class['IoU'][present].mean(),
        'mIoU_all': by_class['IoU'].nan_to_num().mean().where(pixels > 0, torch.nan),
        'OA': agreement,
        'F1': by_class['F1'][present].mean(),
        'kappa': (agreement - chance) / (1 - chance),
    }


def _class_scores(confusion: Tensor) -> dict[str, Tensor]:
    """Compute the scores of each class, NaN where undefined, shape ``(C,)``."""
    confusion = confusion.double()
    hits = confusion.diagonal()
    support = confusion.sum(dim=1)
    predicted = confusion.sum(dim=0)[: len(support)]
    return {
        'recall': hits / support,
        'precision': hits / predicted,
        'IoU': hits / (support + predicted - hits),
        'F1': 2 * hits / (support + predicted),
        'support': support,
        'predicted': predicted,
    }


def _class_row(by_class: dict[str, Tensor], index: int) -> dict[str, Any]:
    """Return the scores and the two counts of one class in plain types."""
    row = {name: values[index].item() for name, values in by_class.items()}
    counts = {name: int(row[name]) for name in ('support', 'predicted')}
    return {name: _plain(value) for name, value in row.items()} | counts


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _count_pairs(target: Tensor, prediction: Tensor) -> Tensor:
    """Count how often each pair of values occurs, shape ``(256, 256)``.

    Counting whole bytes makes the search for wrong values free: a look at 65 536
    counts instead of at every pixel. int32 keys are twice as fast as int64 ones.
    """
    key = _bytes('target', target).int().mul_(_NUM_VALUES)
    key += _bytes('prediction', prediction)
    counts = torch.bincount(key.flatten(), minlength=_NUM_VALUES**2)
    return counts.view(_NUM_VALUES, _NUM_VALUES)


def _bytes(name: str, values: Tensor) -> Tensor:
    """Turn integers into uint8, if they fit."""
    if values.dtype == torch.uint8 or not values.numel():
        return values.byte()
    if values.is_floating_point() or values.is_complex():
        raise ValueError(f'Expected a {name} of an integer type, got {values.dtype}.')
    values = values.long()  # not every integer type has all operations
    low, high = torch.stack(values.aminmax()).tolist()
    if low < 0 or high >= _NUM_VALUES:
        wrong = low if low < 0 else high
        raise ValueError(f'Expected a {name} from 0 to {_NUM_VALUES - 1}, got {wrong}.')
    return values.byte()

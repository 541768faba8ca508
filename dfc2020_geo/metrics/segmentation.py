"""torchmetrics metric for semantic segmentation, accumulated in a confusion matrix."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ..classes import IGNORE_INDEX
from .argmax import best_class
from .confusion import NUM_VALUES, count_confusion
from .scores import class_scores, scores_from_confusion

#: Device types without float64, all or some of them.
_SINGLE = ('mps', 'xpu')


class SegmentationScores(Metric):
    """AA, mIoU, mIoU_all, OA, F1 and kappa of all pixels since the last reset.

    Pixels are pooled over patches, batches and processes before any score is formed,
    so the scores do not depend on batch size or number of processes. They are defined
    in :func:`~dfc2020_geo.metrics.scores_from_confusion`. torchmetrics differs: its
    macro averages also count classes that are predicted but not in the truth.

    A pixel counts if its truth is a class. If its prediction is the ignored index
    (a class map without data there), it counts as wrong: it lowers recall, IoU, F1, OA
    and kappa, but no class's precision.

    Counting never waits for an accelerator. There, values that are neither a class nor
    the ignored index are refused by :meth:`compute` and :meth:`summary` alone.

    Attributes:
        counts: Pixel counts of shape ``(num_classes + 2, num_classes + 2)``, int64, as
            :func:`~dfc2020_geo.metrics.count_confusion` returns them; the only state.

    Examples:
        >>> scores = SegmentationScores(num_classes=2, labels=['Forest', 'Water'])
        >>> logits = torch.tensor([[[[2.0, 0.0]], [[1.0, 3.0]]]])  # (B, C, H, W)
        >>> scores.update(logits, torch.tensor([[[0, 1]]]))  # mask (B, H, W)
        >>> scores.update(torch.tensor([[[0, 0]]]), torch.tensor([[[1, 255]]]))
        >>> scores.confusion  # the last column is pixels without a prediction
        tensor([[1, 0, 0],
                [1, 1, 0]])
        >>> scores.compute()['AA']
        tensor(0.7500)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(
        self,
        num_classes: int,
        labels: Sequence[str] | None = None,
        ignore_index: int = IGNORE_INDEX,
        prefix: str = '',
    ) -> None:
        """Initialize a new SegmentationScores instance.

        Args:
            num_classes: Number of classes of the class scheme.
            labels: Class names, for :meth:`summary`; by default the class indices.
            ignore_index: Index of pixels that are not counted.
            prefix: Prefix of the names of the computed scores, such as ``'val_'``.

        Raises:
            ValueError: If *ignore_index* is a class or above 255, or there is not one
                label per class.
        """
        super().__init__()
        if not 0 < num_classes <= ignore_index < NUM_VALUES:
            raise ValueError(
                f'Expected an ignore_index from num_classes={num_classes} to '
                f'{NUM_VALUES - 1}, got {ignore_index}.'
            )
        self.labels = list(map(str, range(num_classes)) if labels is None else labels)
        if len(self.labels) != num_classes:
            raise ValueError(f'Expected {num_classes} labels, got {self.labels}.')
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.prefix = prefix
        counts = torch.zeros(num_classes + 2, num_classes + 2, dtype=torch.long)
        self.add_state('counts', counts, dist_reduce_fx='sum')

    @property
    def confusion(self) -> Tensor:
        """Pixel counts of shape ``(num_classes, num_classes + 1)``, int64.

        Rows are the truth, columns the prediction; the last column is pixels without
        a prediction.
        """
        return self.counts[:-2, :-1]

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count the pixels of one batch.

        Args:
            prediction: Logits or probabilities of shape ``(B, num_classes, ...)``,
                any float dtype, or class indices of the shape of *target*, any integer
                dtype.
            target: True class indices of any shape, such as ``(B, H, W)``, any integer
                dtype.

        Raises:
            ValueError: If shapes do not match or, on the CPU, a value is neither a
                class nor the ignored index.
        """
        if prediction.is_floating_point():
            if prediction.shape[1:2] != (self.num_classes,):
                raise ValueError(
                    f'Expected logits of shape (B, {self.num_classes}, ...), '
                    f'got {tuple(prediction.shape)}.'
                )
            prediction = best_class(prediction, dim=1)
        if prediction.shape != target.shape:
            raise ValueError(
                f'Expected a prediction of shape {tuple(target.shape)} like the '
                f'target, got {tuple(prediction.shape)}.'
            )
        self.counts = self.counts + count_confusion(
            prediction, target, self.num_classes, self.ignore_index
        )

    def forward(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Count the pixels of one batch, and compute the scores of this batch.

        Args:
            prediction: As in :meth:`update`.
            target: As in :meth:`update`.

        Returns:
            The scores of :meth:`compute`, of this batch in this process alone.

        Raises:
            ValueError: As :meth:`update`.
        """
        # The base class would call compute, which waits for an accelerator.
        before = self.confusion
        self.update(prediction, target)
        return self._score(self.confusion - before)

    def compute(self) -> dict[str, Tensor]:
        """Compute the scores.

        Returns:
            Each score of :func:`~dfc2020_geo.metrics.scores_from_confusion` by its
            name with the prefix: scalar tensors, float32, NaN where undefined.

        Raises:
            ValueError: If a value was neither a class nor the ignored index.
        """
        self._check_values()
        return self._score(self.confusion)

    def summary(self) -> dict[str, Any]:
        """Return overall scores, class scores and confusion matrix in types for JSON.

        In distributed evaluation every process must call it.

        Returns:
            ``'scores'`` (each score by its name, without the prefix), ``'classes'``
            (a list of ``name``, ``recall``, ``precision``, ``IoU``, ``F1``,
            ``support`` (pixels in the truth) and ``predicted`` (pixels)),
            ``'confusion_matrix'`` (a list of rows, the truth; support minus a row's
            sum is the pixels without a prediction) and ``'pixels'``. Undefined values
            are None: the recall of a class that is not in the truth, the precision
            of one that is never predicted, IoU and F1 of one that is neither.

        Raises:
            ValueError: If a value was neither a class nor the ignored index.
        """
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            self._check_values()
            confusion = self.confusion.cpu()
        by_class = class_scores(confusion)
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

    def _check_values(self) -> None:
        """Check that every counted value was a class or the ignored index.

        Raises:
            ValueError: If one was not.
        """
        wrong = self.counts[-1].sum(), self.counts[:, -1].sum()
        for name, pixels in zip(('target', 'prediction'), wrong, strict=True):
            if pixels:
                raise ValueError(
                    f'Expected a {name} from 0 to {self.num_classes - 1} or '
                    f'{self.ignore_index} (ignored), got others in {pixels} pixels.'
                )

    def _score(self, confusion: Tensor) -> dict[str, Tensor]:
        """Compute the scores on the matrix's device, or on the CPU without float64."""
        known = confusion.cpu() if confusion.device.type in _SINGLE else confusion
        return {
            f'{self.prefix}{name}': score.float().to(confusion.device)
            for name, score in scores_from_confusion(known).items()
        }


def _class_row(by_class: dict[str, Tensor], index: int) -> dict[str, Any]:
    """Return the scores and the two pixel counts of one class in types for JSON."""
    row = {name: values[index].item() for name, values in by_class.items()}
    counts = {name: int(row[name]) for name in ('support', 'predicted')}
    return {name: _plain(value) for name, value in row.items()} | counts


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value

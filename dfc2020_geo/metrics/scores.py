"""Definitions of the scores: AA, mIoU, OA, F1, kappa from a confusion matrix."""

import math

from torch import Tensor


def scores_from_confusion(confusion: Tensor) -> dict[str, Tensor]:
    """Compute the overall scores of a confusion matrix.

    Args:
        confusion: Pixel counts of shape ``(C, C)``, any dtype, rows are the truth; or
            ``(C, C + 1)``, whose last column is pixels without a prediction.

    Returns:
        Scalar tensors, float64, as fractions; NaN where undefined (all of them if
        there is no pixel):

        * ``AA``, average accuracy: mean recall of the classes in the truth, the score
          of the contest (https://doi.org/10.21227/rha7-m332).
        * ``mIoU``: mean intersection over union of the classes in the truth.
        * ``mIoU_all``: mean intersection over union of all C classes, 0 for a class
          that is not in the truth; the mIoU that the 2020 baseline published.
        * ``OA``, overall accuracy: fraction of the pixels that are right.
        * ``F1``: mean F1 score of the classes in the truth.
        * ``kappa``: Cohen's kappa (https://doi.org/10.1177/001316446002000104);
          undefined if truth and prediction are one and the same class everywhere.

    Examples:
        >>> import torch
        >>> confusion = torch.tensor([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
        >>> scores = scores_from_confusion(confusion)  # class 2 is not in the truth
        >>> {name: round(scores[name].item(), 3) for name in ('AA', 'mIoU', 'mIoU_all')}
        {'AA': 0.75, 'mIoU': 0.583, 'mIoU_all': 0.389}
    """
    by_class = class_scores(confusion)
    absent = by_class['support'] == 0
    pixels = by_class['support'].sum()
    agreement = confusion.double().diagonal().sum() / pixels
    chance = (by_class['support'] / pixels * (by_class['predicted'] / pixels)).sum()
    # No boolean indexing: the host would wait for the number of elements.
    recall, iou, f1 = (
        by_class[name].masked_fill(absent, math.nan).nanmean()
        for name in ('recall', 'IoU', 'F1')
    )
    all_iou = by_class['IoU'].nan_to_num().mean()
    return {
        'AA': recall,
        'mIoU': iou,
        'mIoU_all': all_iou.masked_fill(pixels == 0, math.nan),
        'OA': agreement,
        'F1': f1,
        'kappa': (agreement - chance) / (1 - chance),
    }


def class_scores(confusion: Tensor) -> dict[str, Tensor]:
    """Compute the scores of each class of a confusion matrix.

    Args:
        confusion: As in :func:`scores_from_confusion`.

    Returns:
        ``recall``, ``precision``, ``IoU`` and ``F1`` as fractions, NaN where
        undefined; ``support`` (pixels in the truth) and ``predicted`` (pixels). All
        float64, of shape ``(C,)``.

    Examples:
        >>> import torch
        >>> scores = class_scores(torch.tensor([[6, 2], [1, 3]]))
        >>> scores['recall'].tolist(), scores['support'].tolist()
        ([0.75, 0.75], [8.0, 4.0])
    """
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

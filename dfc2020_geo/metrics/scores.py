"""What each score is: from a confusion matrix, overall and class by class."""

import math

from torch import Tensor


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
    by_class = class_scores(confusion)
    absent = by_class['support'] == 0
    pixels = by_class['support'].sum()
    agreement = confusion.double().diagonal().sum() / pixels
    chance = (by_class['support'] / pixels * (by_class['predicted'] / pixels)).sum()
    # No choice of elements by a mask: the host would have to wait for their number.
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
        ``recall``, ``precision``, ``IoU`` and ``F1``, NaN where they are not defined;
        ``support`` (pixels in the truth) and ``predicted`` (pixels). All of float64
        and of shape ``(C,)``.
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

"""Segmentation metrics from one confusion matrix: AA, mIoU, OA, F1, kappa.

Args and shapes follow torchmetrics; :mod:`~dfc2020_geo.metrics.scores` has the
formulas, :mod:`~dfc2020_geo.metrics.reports` the files and tables.
"""

from .confusion import count_confusion
from .scores import class_scores, scores_from_confusion
from .segmentation import SegmentationScores

__all__ = [
    'SegmentationScores',
    'class_scores',
    'count_confusion',
    'scores_from_confusion',
]

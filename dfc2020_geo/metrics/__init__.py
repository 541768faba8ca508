"""Scores of class maps: one confusion matrix, and what is computed from it."""

from .confusion import count_confusion
from .scores import class_scores, scores_from_confusion
from .segmentation import SegmentationScores

__all__ = [
    'SegmentationScores',
    'class_scores',
    'count_confusion',
    'scores_from_confusion',
]

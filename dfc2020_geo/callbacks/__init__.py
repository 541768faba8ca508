"""Callbacks: a training in its loggers; class maps, previews and scores as files."""

from .loggers import log_picture
from .predictions import ClassMapWriter, PreviewWriter
from .scores import ScoreWriter
from .training import TrainingLogger

__all__ = [
    'ClassMapWriter',
    'PreviewWriter',
    'ScoreWriter',
    'TrainingLogger',
    'log_picture',
]

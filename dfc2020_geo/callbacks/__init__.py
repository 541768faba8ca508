"""Callbacks: a training in its loggers; class maps, previews and scores as files."""

from .loggers import log_picture
from .patch_writer import PatchWriter
from .predictions import ClassMapWriter, PreviewWriter
from .save_config import SaveConfig
from .scores import ScoreWriter
from .training_logger import TrainingLogger

__all__ = [
    'ClassMapWriter',
    'PatchWriter',
    'PreviewWriter',
    'SaveConfig',
    'ScoreWriter',
    'TrainingLogger',
    'log_picture',
]

"""Lightning callbacks: training logger; writers of class maps, previews and scores."""

from .loggers import log_picture
from .patch_writer import PatchWriter
from .predictions import ClassMapWriter, PreviewWriter
from .save_config import SaveConfig
from .save_last import SaveLast
from .scores import ScoreWriter
from .training_logger import TrainingLogger

__all__ = [
    'ClassMapWriter',
    'PatchWriter',
    'PreviewWriter',
    'SaveConfig',
    'SaveLast',
    'ScoreWriter',
    'TrainingLogger',
    'log_picture',
]

"""Callbacks: a training in its loggers; class maps, previews and scores as files."""

from .loggers import log_picture
from .predictions import ClassMapWriter, PreviewWriter
from .progress import SceneProgress, show_megapixels
from .saved_settings import SaveConfig
from .scene_maps import SceneMapWriter
from .scores import ScoreWriter
from .training import TrainingLogger
from .writer import PatchWriter

__all__ = [
    'ClassMapWriter',
    'PatchWriter',
    'PreviewWriter',
    'SaveConfig',
    'SceneMapWriter',
    'SceneProgress',
    'ScoreWriter',
    'TrainingLogger',
    'log_picture',
    'show_megapixels',
]

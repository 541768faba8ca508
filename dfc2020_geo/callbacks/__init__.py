"""Callbacks that write what a stage produced: class maps, previews and scores."""

from .predictions import ClassMapWriter, PreviewWriter
from .scores import ScoreWriter

__all__ = ['ClassMapWriter', 'PreviewWriter', 'ScoreWriter']

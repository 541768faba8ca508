"""Progress of the map of a scene."""

import sys
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from .tiles import SceneTiles

_FORMAT = (
    'Mapping: {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP '
    '[{elapsed}<{remaining}, {rate_noinv_fmt}]'
)

#: How often a log file is told.
_TIMES = 20


class SceneProgress(TQDMProgressBar):
    """Show megapixels per second and the time left while scenes are mapped.

    A terminal is told after each batch; a log file, where nothing is wiped out, now and
    then.
    """

    def init_predict_tqdm(self) -> Tqdm:
        """Make a bar that counts megapixels in place of batches."""
        bar = super().init_predict_tqdm()
        loaders: Any = self.trainer.predict_dataloaders
        tiles = getattr(loaders, 'dataset', None)
        if isinstance(tiles, SceneTiles):
            bar.bar_format = _FORMAT
            bar.total = len(tiles)
            bar.unit = 'MP'
            bar.unit_scale = tiles.num_pixels / len(tiles) / 1e6
            if not sys.stdout.isatty():
                self._refresh_rate *= -(-len(tiles) // _TIMES)
        return bar


def show_megapixels(trainer: Trainer) -> None:
    """Put a bar for scenes in the place of a trainer's own, if it has one.

    Args:
        trainer: The trainer that will predict scenes.
    """
    callbacks = vars(trainer)['callbacks']
    bar = trainer.progress_bar_callback
    if type(bar) in (RichProgressBar, TQDMProgressBar):
        callbacks[callbacks.index(bar)] = SceneProgress()

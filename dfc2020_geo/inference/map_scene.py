"""Mapping whole scenes: the trainer with its writer and progress, and one call for all."""

import contextlib
import signal
import sys
import threading
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from ..models.contract import SHARED_FACTS
from ..tasks import LandCoverSegmentation
from .datamodule import SceneDataModule, SceneSource
from .tiles import SceneTiles
from .writer import SceneMapWriter

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


def map_scene(
    checkpoint: Path | str | Sequence[Path | str],
    s2: SceneSource | None = None,
    s1: SceneSource | None = None,
    output: Path | str = 'map.tif',
    tta: bool = False,
    data: Mapping[str, Any] | None = None,
    maps: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    trust: Collection[str] = (),
) -> list[Path]:
    """Map a scene of any size in bounded memory.

    Args:
        checkpoint: Network that reads and predicts what the checkpoint says; several
            are averaged.
        s2: Sentinel-2, see :class:`~dfc2020_geo.inference.SceneDataModule`.
        s1: Sentinel-1 of the same scene.
        output: The map, a ``.tif``; of several scenes, a directory for their maps.
        tta: Whether to average the 8 flips and quarter turns of each tile.
        data: More arguments of the datamodule, for example ``{'size': 256}``.
        maps: More arguments of
            :class:`~dfc2020_geo.inference.SceneMapWriter`, for example
            ``{'layers': ['confidence']}``.
        trainer: Arguments of Lightning's Trainer, for example ``{'devices': 2}``.
        trust: Dotted names of classes that the first checkpoint may have imported and
            called, see :meth:`LandCoverSegmentation.load_from_checkpoint`.

    Returns:
        The files that were written.

    Raises:
        FileExistsError: If there is a map already.
        FileNotFoundError: If there is no such checkpoint or scene.
        ValueError: If the scene cannot be what the network was trained on.
    """
    task = load_networks(checkpoint, tta, trust)
    facts = {name: task.hparams[name] for name in SHARED_FACTS}
    datamodule = SceneDataModule(s2, s1, **facts | dict(data or {}))
    writer = SceneMapWriter(output, **maps or {})
    options: dict[str, Any] = {'logger': False, 'use_distributed_sampler': False}
    options |= trainer or {}
    options['callbacks'] = [*options.get('callbacks', ())]
    runner = Trainer(**options)
    return run_maps(
        runner, writer, model=task, datamodule=datamodule, return_predictions=False
    )


def load_networks(
    checkpoint: Path | str | Sequence[Path | str], tta: bool, trust: Collection[str]
) -> LandCoverSegmentation:
    """Load a network for prediction, or several that are averaged.

    Args:
        checkpoint: Checkpoint, or several of the same bands and classes.
        tta: Whether to average the 8 flips and quarter turns.
        trust: Dotted names of classes that the first checkpoint may name.

    Returns:
        The task, without optimiser.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is none, or does not fit.
    """
    paths = [checkpoint] if isinstance(checkpoint, (str, Path)) else checkpoint
    first, *others = map(str, paths)
    return LandCoverSegmentation.load_from_checkpoint(
        first, trust=trust, tta=tta, ensemble=others, optimizer=None, lr_scheduler=None
    )


def run_maps(trainer: Trainer, writer: SceneMapWriter, **options: Any) -> list[Path]:
    """Predict scenes with a trainer, write their maps, and show megapixels meanwhile.

    Both ``dfc2020-geo map`` and :func:`map_scene` end here.

    Args:
        trainer: The trainer; it gets the writer and, in place of its own bar, one that
            counts megapixels.
        writer: The writer of the maps.
        options: Arguments of ``Trainer.predict``, with ``model`` and ``datamodule``.

    Returns:
        The files that were written.
    """
    callbacks: list[Callback] = vars(trainer)['callbacks']
    bar = trainer.progress_bar_callback
    position = len(callbacks) if bar is None else callbacks.index(bar)
    if type(bar) in (RichProgressBar, TQDMProgressBar):
        callbacks[position] = SceneProgress()
    callbacks.insert(position, writer)
    with _interruptible_later():
        trainer.predict(**options)
    return writer.paths


@contextlib.contextmanager
def _interruptible_later() -> Generator[None]:
    """Undo what Lightning does at an interrupt: it ignores all later ones."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)

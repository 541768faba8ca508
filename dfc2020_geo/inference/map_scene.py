"""Mapping a whole scene with one call."""

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from ..models.contract import SHARED_FACTS
from ..tasks import LandCoverSegmentation
from .datamodule import SceneDataModule, SceneSource
from .progress import show_megapixels
from .writer import SceneMapWriter


def map_scene(
    checkpoint: Path | str | Sequence[Path | str],
    s2: SceneSource | None = None,
    s1: SceneSource | None = None,
    output: Path | str = 'map.tif',
    tta: bool = False,
    data: Mapping[str, Any] | None = None,
    maps: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
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

    Returns:
        The files that were written.

    Raises:
        FileExistsError: If there is a map already.
        FileNotFoundError: If there is no such checkpoint or scene.
        ValueError: If the scene cannot be what the network was trained on.
    """
    paths = [checkpoint] if isinstance(checkpoint, (str, Path)) else checkpoint
    first, *others = map(str, paths)
    task = LandCoverSegmentation.load_from_checkpoint(
        first, tta=tta, ensemble=others, optimizer=None, lr_scheduler=None
    )
    facts = {name: task.hparams[name] for name in SHARED_FACTS}
    datamodule = SceneDataModule(s2, s1, **facts | dict(data or {}))
    writer = SceneMapWriter(output, **maps or {})
    options: dict[str, Any] = {'logger': False, 'use_distributed_sampler': False}
    options |= trainer or {}
    callbacks = [*options.pop('callbacks', ()), writer]
    runner = Trainer(callbacks=callbacks, **options)
    show_megapixels(runner)
    with _interruptible_later():
        runner.predict(task, datamodule=datamodule, return_predictions=False)
    return writer.paths


@contextlib.contextmanager
def _interruptible_later() -> Iterator[None]:
    """Undo what Lightning does at an interrupt: it ignores all later ones."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)

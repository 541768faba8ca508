"""Callback that saves a run's settings as YAML in its log directory."""

from itertools import count
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback as LightningSaveConfig

from ..io.addresses import hide_secrets


class SaveConfig(LightningSaveConfig):
    """Save the settings of a run as ``STAGE.yaml`` in its log directory.

    A later run in the same directory, such as ``test`` or a resumed ``fit``, replaces
    nothing: it writes ``STAGE-2.yaml`` and so on.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the settings, unless the trainer has no logger."""
        if not trainer.loggers:
            return
        directory = Path(str(trainer.log_dir))
        stage = str(getattr(trainer.state.fn, 'value', stage))
        names = (f'{stage}{"" if i == 1 else f"-{i}"}.yaml' for i in count(1))
        free = next(name for name in names if not (directory / name).exists())
        # Rank 0 chooses the name: it may have written the file before another rank
        # looks.
        self.config_filename = trainer.strategy.broadcast(free)
        self.config = _without_secrets(self.config)
        super().setup(trainer, pl_module, stage)


def _without_secrets(value: Any) -> Any:
    """Copy settings, with addresses that are not signed."""
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, Namespace):
        return Namespace({k: _without_secrets(v) for k, v in vars(value).items()})
    if isinstance(value, dict):
        return {k: _without_secrets(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_secrets(v) for v in value]
    return value

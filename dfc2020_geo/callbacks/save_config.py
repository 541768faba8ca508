"""The settings of a run as a file beside its logs."""

from itertools import count
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback as LightningSaveConfig


class SaveConfig(LightningSaveConfig):
    """Save the settings of a run with its logs, under the name of its stage.

    So the settings of a training are still there when the network is tested, and when
    a training goes on in the same place.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the settings, unless the run keeps no logs."""
        if not trainer.loggers:
            return
        directory = Path(str(trainer.log_dir))
        stage = str(getattr(trainer.state.fn, 'value', stage))
        names = (f'{stage}{"" if i == 1 else f"-{i}"}.yaml' for i in count(1))
        free = next(name for name in names if not (directory / name).exists())
        # The first process decides: it may have written before another looks.
        self.config_filename = trainer.strategy.broadcast(free)
        super().setup(trainer, pl_module, stage)

"""Checkpoints that this package and the 2020 baseline both read."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from .states import OPTIMIZER, STEP, WEIGHTS, network_weights


class BaselineCheckpoint(ModelCheckpoint):
    """Save ``checkpoint_step_N.pth`` every few steps, and at the end of training.

    Each file is a Lightning checkpoint that also has the entries of the baseline's:
    ``model_state_dict``, ``step`` and ``optimizer_state_dict``. They are the same
    tensors, so the file is no larger. Every file is kept.

    N is the number of optimisation steps that were made. The baseline counts from 0:
    its ``checkpoint_step_1000.pth`` is the network after 1001 steps (and after fewer
    from the second epoch on, since each epoch begins with the last number again).
    """

    FILE_EXTENSION = '.pth'

    def __init__(self, dirpath: Path | str, every_n_train_steps: int) -> None:
        """Initialize a new BaselineCheckpoint instance.

        Args:
            dirpath: Directory for the files.
            every_n_train_steps: Number of optimisation steps between two files.
        """
        super().__init__(
            dirpath=dirpath,
            filename='checkpoint_step_{step}',
            auto_insert_metric_name=False,
            save_top_k=-1,
            every_n_train_steps=every_n_train_steps,
        )

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the baseline's entries to a checkpoint."""
        checkpoint[WEIGHTS] = network_weights(checkpoint['state_dict'])
        checkpoint[STEP] = trainer.global_step
        checkpoint[OPTIMIZER] = checkpoint['optimizer_states'][0]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the network as it is after the last step."""
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

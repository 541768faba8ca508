"""Callback that saves a training which is asked to end."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_info


class SaveLast(Callback):
    """Save ``last.ckpt`` beside a training's checkpoints when SIGTERM ends it.

    Lightning ends a training after the step at which the signal comes; what this saves
    is the state after that step, from which ``--ckpt_path last`` resumes.
    """

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save the training, in all of its processes.

        Args:
            trainer: The trainer.
            pl_module: The task.
            exception: What ends the run.
        """
        callback: Any = trainer.checkpoint_callback
        is_asked = isinstance(exception, SIGTERMException)
        if is_asked and trainer.state.fn == TrainerFn.FITTING and callback is not None:
            path = Path(callback.dirpath) / f'last{callback.FILE_EXTENSION}'
            trainer.save_checkpoint(path)
            rank_zero_info(f'Wrote {path}; --ckpt_path last resumes from it')

"""Callback that logs losses, scores and images of a training to every logger."""

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from .batch_images import BatchPainter, find_painter
from .loggers import log_picture

#: Names under which the task's validation metrics are logged.
_SCORES = {'val_loss': 'epoch_loss', 'val_AA': 'AA', 'val_mIoU_all': 'mIoU'}


class TrainingLogger(Callback):
    """Log losses, validation scores and images of a training to every logger.

    The names are those of the 2020 baseline. A step is an optimisation step, counted
    from 1 as in the names of checkpoints.

    * ``train/loss`` of each step, the mean over its batches if gradients accumulate.
    * ``train/input``, ``train/prediction`` and ``train/ground_truth``: images of
      patches side by side, as they reach the network, and class maps in the palette of
      the class scheme (black is ignored). The prediction is the argmax of the logits
      that the loss was computed from.
    * ``SET/epoch_loss``, ``SET/AA`` and ``SET/mIoU`` after each validation, where SET is
      the named set and mIoU the mean over all classes of the scheme (``mIoU_all``).

    Images are left out if neither task nor datamodule names bands and class scheme,
    or a logger takes none. Logging changes no bit of a training: it draws no random
    number and computes nothing twice. Losses are copied from the device together,
    every ``log_every_n_steps`` of the trainer, so no step waits for them. In
    distributed training rank 0 logs, and the losses are those of its own batches.
    """

    def __init__(self, every_n_steps: int = 100, max_images: int = 4) -> None:
        """Initialize a new TrainingLogger instance.

        Args:
            every_n_steps: Optimisation steps between images.
            max_images: Number of patches in an image, the first of the batch; no
                images if 0.

        Raises:
            ValueError: If *every_n_steps* is below 1 or *max_images* below 0.
        """
        if every_n_steps < 1 or max_images < 0:
            raise ValueError(
                f'Expected every_n_steps from 1 and max_images from 0, '
                f'got {every_n_steps} and {max_images}.'
            )
        self.every_n_steps = every_n_steps
        self.max_images = max_images
        self._painter: BatchPainter | None = None
        self._step = 0
        self._batch_losses: list[Tensor] = []
        self._losses: dict[int, Tensor] = {}
        self._hook: RemovableHandle | None = None
        self._prediction: Tensor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the buffers, and read bands and class scheme from task or datamodule."""
        self._step = trainer.global_step
        self._batch_losses, self._losses = [], {}
        self._painter = None
        if self.max_images and _is_logging(trainer):
            self._painter = find_painter(trainer, pl_module, self.max_images)
            if self._painter is None:
                rank_zero_info(
                    'No pictures of training: neither the task nor the datamodule '
                    'says what its bands and classes are.'
                )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Hook the network's output if images of this batch are due."""
        if self._painter and (trainer.global_step + 1) % self.every_n_steps == 0:
            self._hook = pl_module.register_forward_hook(self._keep_prediction)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keep the loss, and log images of the last batch of a step if they are due."""
        prediction = self._remove_hook()
        if not _is_logging(trainer):
            return
        loss = outputs.get('loss') if isinstance(outputs, Mapping) else None
        if isinstance(loss, Tensor):
            # Lightning has divided it by the number of batches of a step.
            self._batch_losses.append(loss.detach() * trainer.accumulate_grad_batches)
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            self._end_step(trainer, batch, prediction)

    def _end_step(
        self, trainer: Trainer, batch: Any, prediction: Tensor | None
    ) -> None:
        if self._batch_losses:
            self._losses[self._step] = torch.stack(self._batch_losses).float().mean()
            self._batch_losses = []
        if self._painter and self._step % self.every_n_steps == 0:
            for name, picture in self._painter.draw(batch, prediction).items():
                for logger in trainer.loggers:
                    log_picture(logger, f'train/{name}', picture, self._step)
        if len(self._losses) >= getattr(trainer, 'log_every_n_steps', 0):
            self._send_losses(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the scores of a validation during training."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        self._send_losses(trainer)
        sets = getattr(getattr(trainer, 'datamodule', None), 'sets', {})
        scores = {
            f'{sets.get("val", "val")}/{name}': trainer.callback_metrics[key].item()
            for key, name in _SCORES.items()
            if key in trainer.callback_metrics
        }
        if scores:
            _log(trainer, scores, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the last losses."""
        self._send_losses(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Log the last losses, if they can still be read."""
        self._remove_hook()
        with contextlib.suppress(RuntimeError):  # the device itself may have failed
            self._send_losses(trainer)

    def _keep_prediction(self, module: Any, args: Any, output: Any) -> None:
        # In distributed training the module's forward also returns the loss of the
        # training step, after the logits.
        prediction = self._painter.classify(output) if self._painter else None
        if prediction is not None:
            self._prediction = prediction

    def _remove_hook(self) -> Tensor | None:
        """Remove the hook; return the prediction that it kept."""
        if self._hook is not None:
            self._hook.remove()
        prediction, self._hook, self._prediction = self._prediction, None, None
        return prediction

    def _send_losses(self, trainer: Trainer) -> None:
        losses, self._losses = self._losses, {}
        values = torch.stack([*losses.values()]).tolist() if losses else []
        for step, value in zip(losses, values, strict=True):
            _log(trainer, {'train/loss': value}, step)


def _is_logging(trainer: Trainer) -> bool:
    return trainer.is_global_zero and bool(trainer.loggers)


def _log(trainer: Trainer, scalars: dict[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(scalars, step=step)

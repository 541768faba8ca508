"""What a task does in training: the step, the optimiser and its schedule."""

from typing import Any, Literal

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from .optimizers import parameter_groups

Batch = dict[str, Tensor]


class TrainingTask(LightningModule):
    """A task that learns by one loss, with parameters in groups of their own rates.

    Attributes:
        model: The network.
        criterion: The loss, of logits and class indices.
        monitor: The score that the default scheduler watches.
        mode: Whether it is better low or high.
        optimizer: Makes the optimiser of the parameter groups; AdamW if None.
        lr_scheduler: Makes the scheduler of the optimiser;
            :class:`~torch.optim.lr_scheduler.ReduceLROnPlateau` if None.
    """

    model: nn.Module
    criterion: nn.Module
    monitor: str
    mode: Literal['min', 'max']
    optimizer: OptimizerCallable | None
    lr_scheduler: LRSchedulerCallable | None

    def configure_optimizers(self) -> Any:
        """Initialize the optimiser and the learning rate scheduler."""
        optimizer = self._make_optimizer()
        if self.lr_scheduler is None:
            scheduler: Any = ReduceLROnPlateau(
                optimizer, mode=self.mode, patience=self.hparams['patience']
            )
        else:
            scheduler = self.lr_scheduler(optimizer)
        plan = {
            'scheduler': scheduler,
            'interval': self.hparams['lr_interval'],
            'monitor': getattr(scheduler, 'monitor', self.monitor),
            # Training without validation is fine: the rate stays as it is.
            'strict': False,
        }
        return {'optimizer': optimizer, 'lr_scheduler': plan}

    def _make_optimizer(self) -> Optimizer:
        groups = parameter_groups(
            self.model, self.hparams['lr'], self.hparams['backbone_lr']
        )
        return (self.optimizer or AdamW)(groups)

    def training_step(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Compute the training loss, and no scores.

        Args:
            batch: ``'image'`` of shape ``(B, C, H, W)``, scaled, and ``'mask'`` of
                shape ``(B, H, W)``, int64 class indices.
            batch_idx: Position of the batch in the epoch.
            dataloader_idx: Position of its dataloader.

        Returns:
            The loss, a scalar.

        Raises:
            ValueError: If batch normalisation cannot do with a batch of one.
        """
        batch_size = len(batch['image'])
        try:
            logits = self(batch['image'])
        except ValueError as error:
            if 'more than 1 value per channel' in str(error):
                raise ValueError(
                    f'Expected training batches of two or more patches for a network '
                    f'that pools to one pixel, got {batch_size}; add patches, or set '
                    f'--data.batch_size to 2 or more.'
                ) from error
            raise
        loss = self.criterion(logits, batch['mask'])
        self.log('train_loss', loss, batch_size=batch_size)
        self._show(loss)
        return loss

    def _show(self, loss: Tensor) -> None:
        """Show the loss in a progress bar now and then.

        What is logged for the bar, Lightning reads from the device after each step,
        even without a bar, and the next step would not begin before.
        """
        trainer = self._trainer
        if trainer is None or trainer.progress_bar_callback is None:
            return
        every = vars(trainer)['log_every_n_steps']
        if every and trainer.global_step % every == 0:
            trainer.progress_bar_metrics['train_loss'] = loss.item()

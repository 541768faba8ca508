"""What datamodules share whose training goes on to the step after it was stopped."""

import os
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..samplers.resumable import ResumableSampler
from .loading import StoredPatches, ThreadedLoader, collate_stored, is_stored
from .loading.resumable import ResumableLoader

Sample = dict[str, Tensor]
#: More workers than these are not started unless asked for.
_MOST_WORKERS = 4

#: What loads batches beside the training.
Workers = Literal['threads', 'processes']


def choose_num_workers(num_workers: int | None) -> int:
    """Choose how many workers load patches, unless that is said.

    Args:
        num_workers: What is said.

    Returns:
        That; for None one for each core, but no more than four.
    """
    return (
        min(_MOST_WORKERS, os.cpu_count() or 1) if num_workers is None else num_workers
    )


class PendingSelector[Predictable](Protocol):
    """Selects of a set what is still to be predicted.

    The hand-over between a writer of predictions and a datamodule: the writer sets the
    datamodule's ``select_pending`` in its ``setup``; ``predict_dataloader`` calls it,
    when the weights are loaded that tell whether what is there can be resumed.
    """

    def __call__(self, dataset: Predictable, /) -> Predictable:
        """Return the part of a set that is still to be predicted.

        Args:
            dataset: All that the datamodule can serve.
        """
        ...


class ResumableDataModule(LightningDataModule):
    """A datamodule that keeps the order of training in the checkpoint.

    Sets that hold stored patches are loaded as they are stored, by threads or by
    processes; others as samples, by processes.

    Attributes:
        workers: What loads stored patches.
        train_sampler: The order of training, once its loader is made.
    """

    batch_size: int
    num_workers: int
    workers: Workers = 'threads'
    collate_fn: Callable[..., Sample]
    train_sampler: Any = None  # torchgeo declares samplers of its own
    _order: dict[str, Any] | None = None

    def forget_order(self) -> None:
        """Begin a training of its own: the set has changed."""
        self.train_sampler = self._order = None

    def load_training(self, sampler: ResumableSampler) -> DataLoader[Sample]:
        """Load each patch once an epoch, but for a remainder of one.

        A batch of one patch cannot be normalised by networks that pool to one pixel.

        Args:
            sampler: The order of the set; it goes on with that of the checkpoint.

        Returns:
            The loader.
        """
        if order := self.state_dict():
            sampler.load_state_dict(order)
        self.train_sampler = sampler
        share, size = len(sampler), self.batch_size
        drop_last = share > size and share % size == 1
        return self.load(sampler.dataset, sampler, drop_last)

    def load(
        self,
        dataset: Dataset[Sample],
        sampler: Iterable[int] | None = None,
        drop_last: bool = False,
    ) -> DataLoader[Sample]:
        """Load batches of a set.

        Args:
            dataset: The set.
            sampler: Which patches, in their order; by default each once.
            drop_last: Whether a last batch that is not full is left out.

        Returns:
            The loader.
        """
        options: dict[str, Any] = {
            'sampler': sampler,
            'drop_last': drop_last,
            'batch_size': self.batch_size,
            'num_workers': self.num_workers,
            'pin_memory': torch.cuda.is_available(),
        }
        if not is_stored(dataset):
            options |= {'dataset': dataset, 'collate_fn': self.collate_fn}
        elif self.workers == 'threads':
            return ThreadedLoader(dataset, **options)
        else:
            stored = StoredPatches(dataset)
            options |= {'dataset': stored, 'collate_fn': collate_stored}
        return ResumableLoader(**options, persistent_workers=self.num_workers > 0)

    def state_dict(self) -> dict[str, Any]:
        """Return where the order of training stands, for the checkpoint."""
        return (
            self.train_sampler.state_dict() if self.train_sampler else self._order or {}
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the order of a training that was stopped.

        Args:
            state_dict: What :meth:`state_dict` returned there.
        """
        self._order = state_dict
        if self.train_sampler:
            self.train_sampler.load_state_dict(state_dict)

    def on_before_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Seed what is drawn for a batch of training, such that it can be resumed.

        Args:
            batch: A batch as it was loaded.
            dataloader_idx: Position of the batch's dataloader.

        Returns:
            The batch as it is.
        """
        if self.train_sampler and self.trainer and self.trainer.training:
            self.train_sampler.seed_batch()
        return batch

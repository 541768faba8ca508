"""A base class of datamodules whose training resumes at the exact step."""

import os
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn
from matplotlib.figure import Figure
from torch.utils.data import DataLoader, Dataset

from ..samplers.resumable import ResumableSampler
from ..samplers.windows import PatchWindow
from ..transforms.prepare import Batch, join_bands
from .loading.loaders import ResumableLoader, ThreadedLoader
from .loading.raw_batches import RawPatchDataset, collate_raw, reads_raw
from .loading.skipping import OnError, skip_unreadable, take_unread

#: The split that serves each of Lightning's stages.
_SPLITS_OF_STAGES = {
    'train': 'train',
    'validate': 'val',
    'sanity_check': 'val',
    'test': 'test',
}

#: The most patches that a warning names.
_MOST_NAMED = 5

#: The most workers that are started by default.
_MOST_WORKERS = 4

#: The most that may be asked for.
_MOST = 1024

#: Kinds of workers that load raw patches.
Workers = Literal['threads', 'processes']


def choose_num_workers(num_workers: int | None, batch_size: int) -> int:
    """Choose the number of workers that load batches.

    Args:
        num_workers: A number that was asked for, or None.
        batch_size: Size of the batches, which is checked too.

    Returns:
        The number; for None one worker for each core, at most four.

    Raises:
        ValueError: If one of them is too small, or there are far too many workers.
    """
    if num_workers is None:
        num_workers = min(_MOST_WORKERS, os.cpu_count() or 1)
    if batch_size < 1 or not 0 <= num_workers <= _MOST:
        raise ValueError(
            f'Expected batch_size from 1 and num_workers from 0 to {_MOST}, got '
            f'{batch_size} and {num_workers}.'
        )
    return num_workers


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

    Datasets that can be read raw are loaded raw, by threads or by processes; others as
    samples, by processes.

    Attributes:
        batch_size: Number of patches in a batch.
        num_workers: Number of workers; 0 reads a batch when it is asked for.
        workers: Kind of workers that load raw patches.
        collate_fn: Makes a batch of samples.
        on_error: What happens at a patch that cannot be read.
        unread: Positions of the patches that could not be, in the sets of the stage.
        train_sampler: The order of training, once its loader is made.
    """

    batch_size: int
    num_workers: int
    workers: Workers = 'threads'
    collate_fn: Callable[..., Batch]
    on_error: OnError = 'stop'
    unread: Mapping[str, set[int]] = MappingProxyType({})
    train_sampler: Any = None  # torchgeo declares samplers of its own
    _order: dict[str, Any] | None = None

    def forget_order(self) -> None:
        """Start training anew: the dataset has changed."""
        self.train_sampler = self._order = None

    def load_training(self, sampler: ResumableSampler) -> DataLoader[Any]:
        """Load each patch once an epoch, but for a last batch of one patch.

        Networks that pool to one pixel cannot normalise a batch of one patch.

        Args:
            sampler: The order of training; it resumes that of the checkpoint.

        Returns:
            The loader.
        """
        if order := self.state_dict():
            sampler.load_state_dict(order)
        self.train_sampler = sampler
        length, size = len(sampler), self.batch_size
        drop_last = length > size and length % size == 1
        return self.load(sampler.dataset, sampler, drop_last)

    def load(
        self,
        dataset: Dataset[Any],
        sampler: Iterable[int] | None = None,
        drop_last: bool = False,
    ) -> DataLoader[Any]:
        """Load batches of a dataset.

        Args:
            dataset: The dataset.
            sampler: Positions of patches, in order; by default each once.
            drop_last: Whether to leave out a last batch that is not full.

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
        if self.on_error == 'skip':
            dataset = skip_unreadable(dataset)
        if not reads_raw(dataset):
            options |= {'dataset': dataset, 'collate_fn': self.collate_fn}
        elif self.workers == 'threads':
            return ThreadedLoader(dataset, **options)
        else:
            raw = RawPatchDataset(dataset)
            options |= {'dataset': raw, 'collate_fn': collate_raw}
        return ResumableLoader(**options, persistent_workers=self.num_workers > 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the order of training, for the checkpoint.

        Returns:
            State of the sampler; empty before training.
        """
        return (
            self.train_sampler.state_dict() if self.train_sampler else self._order or {}
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume the order of a training that was stopped.

        Args:
            state_dict: What :meth:`state_dict` returned there.
        """
        self._order = state_dict
        if self.train_sampler:
            self.train_sampler.load_state_dict(state_dict)

    def plot(
        self,
        sample: Mapping[str, Any],
        show_titles: bool = True,
        suptitle: str | None = None,
        index: int = 0,
    ) -> Figure:
        """Plot a sample of a dataset, or a patch of a batch as a loader gives it.

        Args:
            sample: A sample, or a batch, in file units; optionally with a
                ``'prediction'`` of shape ``(H, W)`` or ``(B, H, W)``, class indices.
            show_titles: Whether each panel has a title.
            suptitle: Title of the figure.
            index: Position of the patch in a batch.

        Returns:
            The figure.

        Raises:
            ValueError: If no stage is set up yet.
            RGBBandsMissingError: If the bands have neither B04, B03 and B02 nor VV and
                VH.
        """
        names = ('val', 'train', 'test', 'predict')
        datasets: list[Any] = [getattr(self, f'{n}_dataset', None) for n in names]
        dataset = next((x for x in datasets if x is not None), None)
        if dataset is None:
            raise ValueError(
                'Expected a datamodule that is set up, got none of its datasets; call '
                "setup('fit') first."
            )
        if 'image' not in sample:
            sample = join_bands(dict(sample))
        if sample['image'].ndim == 4:
            drawn = ('image', 'mask', 'prediction')
            sample = {key: sample[key][index] for key in drawn if key in sample}
        return dataset.plot(sample, show_titles, suptitle)

    def name_batch(self, position: int) -> list[str]:
        """Name the patches of a training batch.

        Args:
            position: Position of the batch in the current epoch of this process.

        Returns:
            The names of its patches; empty before training.
        """
        if not self.train_sampler:
            return []
        dataset = self.train_sampler.dataset
        return [_name(dataset, index) for index in self.train_sampler.batch(position)]

    def _note_unread(self, batch: Batch) -> None:
        """Remember which patches of a batch could not be read."""
        if self.trainer is None or not (found := take_unread(batch)):
            return
        stage = self.trainer.state.stage
        split = _SPLITS_OF_STAGES.get(str(getattr(stage, 'value', stage)), 'predict')
        noted = self.unread.get(split, set())
        # Windows of scenes have no positions: each counts.
        new = {p if p >= 0 else -len(noted) - n for n, p in enumerate(found, 1)}
        self.unread = {**self.unread, split: noted | new}

    def teardown(self, stage: str) -> None:
        """Say which patches were left out.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.
        """
        for split, positions in self.unread.items():
            dataset = getattr(self, f'{split}_dataset', None)
            if split == 'predict':
                dataset = getattr(self, 'pending_dataset', dataset)
            names = [_name(dataset, p) for p in sorted(positions) if p >= 0]
            more = (
                ''
                if len(names) <= _MOST_NAMED
                else f' and {len(names) - _MOST_NAMED} more'
            )
            listed = f': {", ".join(names[:_MOST_NAMED])}{more}' if names else ''
            rank_zero_warn(
                f'Left out {len(positions)} patches of {split}, which cannot be '
                f'read{listed}.'
            )
        self.unread = {}
        super().teardown(stage)

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Seed the random numbers of a training batch by its number, for resumption.

        Args:
            batch: A batch as it was loaded.
            dataloader_idx: Position of the batch's dataloader.

        Returns:
            The batch as it is.
        """
        self._note_unread(batch)
        if self.train_sampler and self.trainer and self.trainer.training:
            self.train_sampler.seed_batch()
        return batch


def _name(dataset: Any, index: Any) -> str:
    """Name a patch of a dataset by its id, or by where it lies in its scene."""
    if files := getattr(dataset, 'files', None):
        return files[index].id
    window = index if isinstance(index, PatchWindow) else dataset.windows[index]
    scene = dataset.scenes[window.scene].files[0].dataset.index.filepath.iloc[0]
    rows, columns = window.rows, window.columns
    return (
        f'{scene} (rows {rows.start} to {rows.stop}, columns {columns.start} to '
        f'{columns.stop})'
    )

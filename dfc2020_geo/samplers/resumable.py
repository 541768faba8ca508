"""Shuffling sampler with step-exact resumption of training.

The order of an epoch is a function of seed and epoch. Random numbers of a batch (flips,
dropout) are a function of seed, number of batches before it, and rank. So a checkpoint
holds no generator state, and other code that draws random numbers changes nothing.
"""

from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch.utils.data import Dataset, DistributedSampler


class ResumableSampler(DistributedSampler[int]):
    """Shuffle a dataset in each epoch, and resume an epoch at the next batch.

    The seed is that of the run (``seed_everything``, ``torch.manual_seed``), or of the
    checkpoint in a resumed run. In distributed training each process gets an equal
    part of an epoch; the last batches are padded with patches of the first ones.

    Epochs are counted here, because Lightning's count depends on how a run was stopped.
    The length is that of a whole epoch of this process, because Lightning adds the
    batches done before to those that it fetches.
    """

    def __init__(
        self, dataset: Dataset[Any], batch_size: int, trainer: Trainer | None = None
    ) -> None:
        """Initialize a new ResumableSampler instance.

        Args:
            dataset: Dataset to shuffle, the same in each process.
            batch_size: Number of patches per batch and process.
            trainer: Trainer whose training loop counts the batches; without one, each
                iteration is a whole epoch.

        Examples:
            >>> _ = torch.manual_seed(0)
            >>> sampler = ResumableSampler(range(6), batch_size=2)
            >>> first, second = list(sampler), list(sampler)
            >>> sorted(first) == sorted(second) == list(range(6))
            True
            >>> first == second
            False
        """
        seed = torch.initial_seed()
        num_processes, rank = 1, 0
        if trainer is not None:
            seed = trainer.strategy.broadcast(seed)
            num_processes, rank = trainer.world_size, trainer.global_rank
        super().__init__(dataset, num_processes, rank, seed=_mix(seed))
        self.batch_size = batch_size
        self.epoch = -1
        self._trainer = trainer
        self._resumed: dict[str, int] = {}

    def __iter__(self) -> Iterator[int]:
        """Return the remaining dataset indices of the current epoch.

        Returns:
            Iterator over dataset indices of this process.

        Raises:
            ValueError: If an epoch is resumed in its middle with another batch size,
                number of patches or number of processes.
        """
        done = self._count_batches('current')
        if done:
            self._check_batches()
        if not done or self.epoch < 0:
            self.epoch += 1
            self._resumed = {}
        return iter(self._draw()[done * self.batch_size :])

    def _draw(self) -> list[Any]:
        """Draw all indices of the current epoch that this process has."""
        return [*super().__iter__()]

    def batch(self, position: int) -> list[Any]:
        """Tell what a batch of the current epoch is made of.

        Args:
            position: Position of the batch in the epoch of this process.

        Returns:
            Its dataset indices.
        """
        start = position * self.batch_size
        return self._draw()[start : start + self.batch_size]

    def set_epoch(self, epoch: int) -> None:
        """Ignore Lightning's count of epochs.

        Args:
            epoch: Lightning's count.
        """

    def seed_batch(self) -> None:
        """Seed torch's default generator for the next batch of this process."""
        torch.manual_seed(_mix(self.seed, self._count_batches('total'), self.rank))

    def state_dict(self) -> dict[str, int]:
        """Return the state for a checkpoint.

        Returns:
            ``seed``, ``epoch``, ``batch_size``, ``num_patches`` and ``num_processes``.
        """
        has_begun = self._trainer is None or self._count_batches('current') > 0
        epoch = self.epoch if has_begun else max(self.epoch - 1, -1)
        return {'seed': self.seed, 'epoch': epoch, **self._describe_batches()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume with the seed and in the epoch of a checkpoint.

        Args:
            state: The value of :meth:`state_dict` in the stopped run.

        Raises:
            ValueError: If it is something else.
        """
        names = ('seed', 'epoch')
        is_state = isinstance(state, dict) and all(
            isinstance(value, int)
            for value in [*state.values(), *map(state.get, names)]
        )
        if not is_state:
            raise ValueError(
                'Expected the order of training in a checkpoint, numbers with '
                f'{" and ".join(names)}, got {state}; take another checkpoint.'
            )
        self._resumed = dict(state)
        self.seed, self.epoch = self._resumed.pop('seed'), self._resumed.pop('epoch')

    def _count_batches(self, span: str) -> int:
        """Count the batches trained on, in the ``'current'`` epoch or in ``'total'``."""
        if self._trainer is None:
            return 0
        progress = getattr(self._trainer.fit_loop.epoch_loop.batch_progress, span)
        # A batch that failed counts as started, not as processed.
        return progress.processed

    def _describe_batches(self) -> dict[str, int]:
        assert isinstance(self.dataset, Sized)
        return {
            'batch_size': self.batch_size,
            'num_patches': len(self.dataset),
            'num_processes': self.num_replicas,
        }

    def _check_batches(self) -> None:
        for name, value in self._describe_batches().items():
            if (other := self._resumed.get(name, value)) != value:
                raise ValueError(
                    f'Expected {name}={other} as in the checkpoint, got {value}: '
                    'training resumes in the middle of an epoch; undo the change, or '
                    'resume from a checkpoint of the end of an epoch.'
                )


def _mix(*numbers: int) -> int:
    """Hash numbers to a seed of 63 bits, so that close numbers have distant seeds."""
    (seed,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(seed) >> 1

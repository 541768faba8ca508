"""The order of training, such that a run that was stopped goes on with the same step.

The order of an epoch follows from the seed and the epoch; what is drawn for a batch
(flips, dropout), from the seed, the number of batches before it and the process. No
state of a generator has to be kept, and nothing else that draws numbers matters.
"""

from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch.utils.data import Dataset, DistributedSampler


class ResumableSampler(DistributedSampler[int]):
    """Shuffle a set anew each epoch; begin an epoch where Lightning's loop stands in it.

    The seed is that of the run (``seed_everything``, ``torch.manual_seed``); a resumed
    run goes on with the checkpoint's. Several processes share each epoch; the last
    batches are filled up with patches of the first ones, so that the shares are equal.

    The epochs are counted here: Lightning's count depends on how a run was stopped.
    The length is that of the whole share, since Lightning adds the batches of before
    to those that it fetches.
    """

    def __init__(
        self, dataset: Dataset[Any], batch_size: int, trainer: Trainer | None = None
    ) -> None:
        """Initialize a new ResumableSampler instance.

        Args:
            dataset: Set to shuffle, the same in each process.
            batch_size: Number of patches in a batch of one process.
            trainer: Trainer whose training loop counts the batches; without one, each
                iteration is a whole epoch.
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
        """Return the indices of an epoch that are still to come.

        Raises:
            ValueError: If training goes on in the middle of an epoch that was cut into
                other batches.
        """
        done = self._count_batches('current')
        if done:
            self._check_batches()
        if not done or self.epoch < 0:
            self.epoch += 1
            self._resumed = {}
        return iter([*super().__iter__()][done * self.batch_size :])

    def set_epoch(self, epoch: int) -> None:
        """Leave Lightning's count of the epochs aside.

        Args:
            epoch: Lightning's count.
        """

    def seed_batch(self) -> None:
        """Seed what is drawn for the next batch of this process."""
        torch.manual_seed(_mix(self.seed, self._count_batches('total'), self.rank))

    def state_dict(self) -> dict[str, int]:
        """Return what a checkpoint keeps: seed, epoch, and how an epoch is cut."""
        has_begun = self._trainer is None or self._count_batches('current') > 0
        epoch = self.epoch if has_begun else max(self.epoch - 1, -1)
        return {'seed': self.seed, 'epoch': epoch, **self._describe_batches()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on with the seed and in the epoch of a checkpoint.

        Args:
            state: What :meth:`state_dict` returned in the run that was stopped.
        """
        self._resumed = dict(state)
        self.seed, self.epoch = self._resumed.pop('seed'), self._resumed.pop('epoch')

    def _count_batches(self, span: str) -> int:
        """Count the batches trained on, in the ``'current'`` epoch or in ``'total'``."""
        if self._trainer is None:
            return 0
        progress = getattr(self._trainer.fit_loop.epoch_loop.batch_progress, span)
        # One that failed was begun, not processed.
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
                    'training goes on in the middle of an epoch; leave the change out, '
                    'or resume from a checkpoint of the end of an epoch.'
                )


def _mix(*numbers: int) -> int:
    """Make a seed of 63 bits, so that near numbers have seeds that are far apart."""
    (seed,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(seed) >> 1

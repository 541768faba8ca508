"""Sets filled up, so that each of several processes scores as many patches."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..classes import IGNORE_INDEX
from .loading import is_stored

Sample = dict[str, Tensor]


def fill_up(dataset: Any, multiple: int) -> Dataset[Sample]:
    """Fill a set up to a multiple with copies that are ignored everywhere.

    Args:
        dataset: A set of labelled patches.
        multiple: What the length shall be divisible by.

    Returns:
        The set, if its length is such already; else a longer one, whose patches can be
        read as they are stored if those of *dataset* can.
    """
    if len(dataset) % multiple == 0:
        return dataset
    kind = _StoredFilledUp if is_stored(dataset) else _FilledUp
    return kind(dataset, multiple)


class _FilledUp(Dataset[Sample]):
    def __init__(self, dataset: Any, multiple: int) -> None:
        self.dataset = dataset
        self.length = -(-len(dataset) // multiple) * multiple

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index < len(self.dataset):
            return self.dataset[index]
        sample = self.dataset[0]
        return sample | {'mask': torch.full_like(sample['mask'], IGNORE_INDEX)}


class _StoredFilledUp(_FilledUp):
    def read_raw(
        self, index: int, out: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        if index < len(self.dataset):
            return self.dataset.read_raw(index, out)
        patch = self.dataset.read_raw(0, out)
        patch['mask'].fill(IGNORE_INDEX)
        return patch

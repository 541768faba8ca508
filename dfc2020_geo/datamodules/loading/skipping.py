"""Patches that cannot be read, left out of a run without moving the others."""

import logging
from collections.abc import Mapping, Sized
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchgeo.datasets.utils import Sample

from ...classes import IGNORE_INDEX
from .raw_batches import RawPatch, reads_raw, require_raw

#: What happens at a patch that cannot be read.
OnError = Literal['stop', 'skip']

#: Name of what says in a batch which patches could not be read: their positions in the
#: set, -1 for those that were, -2 where a position is no number.
UNREAD = 'unread'
_READ, _UNNAMED = -1, -2

#: What is raised for a patch that cannot be read.
_ERRORS = (RuntimeError, OSError)

#: Patches that are tried, for their size, where the first ones cannot be read.
_TRIALS = 100

logger = logging.getLogger(__name__)


class SkippingPatches(Dataset[Sample]):
    """A dataset whose unreadable patches have no data, and are ignored everywhere.

    Their places in batches stay, so that order, steps and resumption do.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        """Initialize a new SkippingPatches instance.

        Args:
            dataset: The dataset.
        """
        self.dataset = dataset
        self._blank: dict[str, Any] | None = None
        self._told: set[Any] = set()

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(cast(Sized, self.dataset))

    def __getitem__(self, index: Any) -> Sample:
        """Read a patch.

        Args:
            index: Position of the patch.

        Returns:
            The sample, with its position as :data:`UNREAD` if it could not be read.
        """
        try:
            sample = self.dataset[index]
        except _ERRORS as error:
            sample = self._make_blank(index, error)
            return sample | {UNREAD: torch.full((1, 1), _position(index))}
        self._note(sample)
        return sample | {UNREAD: torch.full((1, 1), _READ)}

    def _note(self, patch: Mapping[str, Any]) -> None:
        """Remember what a patch is like."""
        if self._blank is None:
            self._blank = {name: make_blank(name, v) for name, v in patch.items()}

    def _read(self, index: Any) -> Mapping[str, Any]:
        return self.dataset[index]

    def _make_blank(self, index: Any, error: Exception) -> dict[str, Any]:
        if index not in self._told:
            self._told.add(index)
            logger.warning('Left out a patch that cannot be read: %s', error)
        if self._blank is None and not isinstance(index, int):
            patches: Any = self.dataset  # windows of scenes, all of one size
            image = torch.full((len(patches.bands), *patches.size), torch.nan)
            self._note({'image': image, 'mask': image[0].long()})
        for other in range(min(len(self), _TRIALS)):
            if self._blank is not None:
                return dict(self._blank)
            try:
                self._note(self._read(other))
            except _ERRORS:
                continue
        raise error


class SkippingRawPatches(SkippingPatches):
    """The same for a dataset that is read raw."""

    def read_raw(self, index: int, out: RawPatch | None = None) -> RawPatch:
        """Read a patch, into the arrays of *out* where shape and type fit.

        Args:
            index: Position of the patch.
            out: Arrays to read into, by sensor and ``'mask'``.

        Returns:
            The raw patch, with its position as :data:`UNREAD` if it could not be read.
        """
        try:
            patch = require_raw(self.dataset).read_raw(index, out)
        except _ERRORS as error:
            patch = self._make_blank(index, error)
            return patch | {UNREAD: np.full((1, 1), _position(index))}
        self._note(patch)
        return patch | {UNREAD: np.full((1, 1), _READ)}

    def _read(self, index: Any) -> Mapping[str, Any]:
        return require_raw(self.dataset).read_raw(index)


def skip_unreadable(dataset: Dataset[Any]) -> SkippingPatches:
    """Leave unreadable patches out of a dataset.

    Args:
        dataset: The dataset.

    Returns:
        A dataset of the same patches, those without data and ignored.
    """
    return (SkippingRawPatches if reads_raw(dataset) else SkippingPatches)(dataset)


def take_unread(batch: Mapping[str, Any]) -> list[int]:
    """Take from a batch which of its patches could not be read.

    Args:
        batch: A batch, from which :data:`UNREAD` is removed.

    Returns:
        Positions of patches in the set; -2 where they have none.
    """
    unread = cast(dict[str, Tensor], batch).pop(UNREAD, None)
    if unread is None:
        return []
    return [position for position in unread.flatten().tolist() if position != _READ]


def make_blank(name: str, values: Any) -> Any:
    """Make a part of a patch without data.

    Args:
        name: Name of the part.
        values: Such a part of another patch.

    Returns:
        An array or a tensor of the same shape and type: ignored, NaN, or 0 where the
        type has no NaN, which is no data as well.
    """
    if not isinstance(values, np.ndarray | Tensor):
        return values
    full = np.full_like if isinstance(values, np.ndarray) else torch.full_like
    if name == 'mask':
        return full(values, IGNORE_INDEX)
    is_float = (
        values.dtype.kind == 'f'
        if isinstance(values, np.ndarray)
        else values.is_floating_point()
    )
    return full(values, np.nan if is_float else 0)


def _position(index: Any) -> int:
    return index if isinstance(index, int) else _UNNAMED

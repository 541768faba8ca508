"""What patches of a batch must have in common, and which sets hold stored patches."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, default_collate

Batch = dict[str, Tensor]
Stored = dict[str, np.ndarray]


@runtime_checkable
class StoresPatches(Protocol):
    """A set whose patches can be read as they are stored, by several threads."""

    def __len__(self) -> int:
        """Return the number of patches."""
        ...

    def read_raw(self, index: int, out: Stored | None = None) -> Stored:
        """Read a patch, to the arrays of *out* where they fit it."""
        ...


def is_stored(dataset: Dataset[Any]) -> bool:
    """Check whether samples of a set are made of its stored patches and nothing else.

    Args:
        dataset: Any set; one with transforms, or of a class that makes samples in a way
            of its own, has to be asked for samples.
    """
    if getattr(dataset, 'transforms', None) is not None:
        return False
    classes = (vars(kind) for kind in type(dataset).__mro__)
    last = next((c for c in classes if {'__getitem__', 'read_raw'} & c.keys()), {})
    return 'read_raw' in last


def require_stored(dataset: Dataset[Any]) -> StoresPatches:
    """Check that a set can be read as it is stored.

    Args:
        dataset: Any set.

    Raises:
        TypeError: If it cannot.
    """
    if not isinstance(dataset, StoresPatches):
        raise TypeError(
            f'Expected a set whose patches can be read as they are stored, got '
            f"{type(dataset).__name__}; load it with torch's DataLoader."
        )
    return dataset


class StoredPatches(Dataset[Stored]):
    """The stored patches of a set as its samples, for a loader with processes."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        """Initialize a new StoredPatches instance.

        Args:
            dataset: A set for which :func:`is_stored` holds.
        """
        self.dataset = require_stored(dataset)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Stored:
        """Read a patch.

        Args:
            index: Position of the patch.
        """
        return self.dataset.read_raw(index)


def collate_stored(patches: Sequence[Stored]) -> Batch:
    """Make a batch as :class:`~dfc2020_geo.datamodules.loading.ThreadedLoader` does.

    Args:
        patches: Patches of :class:`StoredPatches`.

    Raises:
        ValueError: If they differ in size or in what they have.
    """
    for patch in patches:
        require_same_layout(patches[0], patch)
    types = {n: np.result_type(*(p[n].dtype for p in patches)) for n in patches[0]}
    return default_collate(
        [{n: p[n].astype(types[n], copy=False) for n in types} for p in patches]
    )


def require_same_layout(patch: Stored, other: Stored) -> None:
    """Check that patches can be in one batch.

    Args:
        patch: A patch, or a whole batch.
        other: Another patch.

    Raises:
        ValueError: If they differ in size or in what they have.
    """
    if patch.keys() != other.keys():
        raise ValueError(
            f'Expected patches with the same parts in a batch, got {sorted(patch)} and '
            f'{sorted(other)}; set --data.batch_size 1, or keep patches with and '
            'without labels in directories of their own.'
        )
    for name, values in other.items():
        require_one_size({patch[name].shape[-2:], values.shape[-2:]})


def require_one_size(sizes: Collection[tuple[int, ...]]) -> None:
    """Check that patches can be one batch.

    Args:
        sizes: The heights and widths that patches have, each once.

    Raises:
        ValueError: If there are several.
    """
    if len(sizes) > 1:
        raise ValueError(
            f'Expected patches of one size in a batch, got {sorted(sizes)} pixels; '
            'set --data.batch_size 1, or keep sizes in directories of their own.'
        )

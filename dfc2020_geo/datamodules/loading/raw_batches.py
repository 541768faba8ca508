"""Batches of raw patches: the numbers of the files, neither scaled nor joined."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch.utils.data import Dataset, default_collate

from ...io.memory import PinnedMemory, ReusedMemory
from ...transforms.prepare import Batch

#: A patch in the types of its files: 's2' (C, H, W), uint16 or float32; 's1'
#: (C, H, W), float32; 'mask' (H, W), uint8.
RawPatch = dict[str, np.ndarray]


@runtime_checkable
class RawPatches(Protocol):
    """A dataset whose patches can be read raw, by several threads at once."""

    def __len__(self) -> int:
        """Return the number of patches."""
        ...

    def read_raw(self, index: int, out: RawPatch | None = None) -> RawPatch:
        """Read a patch, into the arrays of *out* where shape and type fit.

        Args:
            index: Position of the patch
            out: Arrays to read into, by sensor and ``'mask'``.

        Returns:
            ``'s2'``, ``'s1'`` and ``'mask'``, as far as the dataset has them.
        """
        ...


def reads_raw(dataset: Dataset[Any]) -> bool:
    """Tell whether a dataset's samples are its raw patches and nothing else.

    Args:
        dataset: Any dataset.

    Returns:
        False for a dataset with transforms, or of a class that overrides
        ``__getitem__`` but not ``read_raw``: it has to be asked for samples.
    """
    if getattr(dataset, 'transforms', None) is not None:
        return False
    classes = (vars(kind) for kind in type(dataset).__mro__)
    last = next((c for c in classes if {'__getitem__', 'read_raw'} & c.keys()), {})
    return 'read_raw' in last


def require_raw(dataset: Dataset[Any]) -> RawPatches:
    """Check that a dataset's patches can be read raw.

    Args:
        dataset: Any dataset.

    Returns:
        The dataset.

    Raises:
        TypeError: If it has no ``read_raw``.
    """
    if not isinstance(dataset, RawPatches):
        raise TypeError(
            f'Expected a dataset with read_raw, got {type(dataset).__name__}; load it '
            "with torch's DataLoader."
        )
    return dataset


class RawPatchDataset(Dataset[RawPatch]):
    """The raw patches of a dataset as its samples, for worker processes."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        """Initialize a new RawPatchDataset instance.

        Args:
            dataset: A dataset for which :func:`reads_raw` holds.

        Raises:
            TypeError: If it has no ``read_raw``.
        """
        self.dataset = require_raw(dataset)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> RawPatch:
        """Read a patch.

        Args:
            index: Position of the patch.

        Returns:
            The patch in the types of its files.
        """
        return self.dataset.read_raw(index)


def collate_raw(patches: Sequence[RawPatch]) -> Batch:
    """Make the batch that :class:`.loaders.ThreadedLoader` makes of raw patches.

    Args:
        patches: Raw patches.

    Returns:
        Their arrays as tensors, with an axis of patches in front, each in the smallest
        type that holds the numbers of all patches.

    Raises:
        ValueError: If patches differ in size or in the names of their arrays.
    """
    for patch in patches:
        _require_same_layout(patches[0], patch)
    types = {n: np.result_type(*(p[n].dtype for p in patches)) for n in patches[0]}
    return default_collate(
        [{n: p[n].astype(types[n], copy=False) for n in types} for p in patches]
    )


def require_one_size(sizes: Collection[tuple[int, ...]]) -> None:
    """Check that patches can be one batch.

    Args:
        sizes: The distinct heights and widths of the patches, in pixels.

    Raises:
        ValueError: If there are several.
    """
    if len(sizes) > 1:
        raise ValueError(
            f'Expected patches of one size in a batch, got {sorted(sizes)} pixels; '
            'set --data.batch_size 1, or keep sizes in directories of their own.'
        )


def _require_same_layout(patch: RawPatch, other: RawPatch) -> None:
    if patch.keys() != other.keys():
        raise ValueError(
            f'Expected patches with the same parts in a batch, got {sorted(patch)} and '
            f'{sorted(other)}; set --data.batch_size 1, or keep patches with and '
            'without labels in directories of their own.'
        )
    for name, values in other.items():
        require_one_size({patch[name].shape[-2:], values.shape[-2:]})


class RawBatchReader:
    """Reads raw patches into a batch in place; threads may share a reader."""

    def __init__(
        self, dataset: RawPatches, memory: ReusedMemory | PinnedMemory
    ) -> None:
        """Initialize a new RawBatchReader instance.

        Args:
            dataset: The dataset.
            memory: Where the memory of batches comes from.
        """
        self.dataset, self.memory = dataset, memory
        #: Shapes and types of the last batch, for the first patch of the next one.
        self._layout: dict[str, tuple[tuple[int, ...], np.dtype]] = {}

    def read(
        self, indices: Sequence[int], is_wanted: Callable[[], object] = lambda: True
    ) -> Batch:
        """Read a batch.

        Args:
            indices: Positions of the patches.
            is_wanted: Asked before each patch; reading stops once it returns None.

        Returns:
            The patches' arrays as tensors, with an axis of patches in front. Where
            patches differ in type, the batch has the smallest one that holds the
            numbers of all.

        Raises:
            ValueError: If patches differ in size or in the names of their arrays.
        """
        batch = _GrowingBatch(self.memory, len(indices))
        for name, (shape, dtype) in self._layout.items():
            batch.allocate(name, shape, dtype)
        for row, index in enumerate(indices):
            if is_wanted() is None:
                break
            out = {name: array[row] for name, array in batch.arrays.items()}
            batch.put(row, self.dataset.read_raw(index, out), out)
        self._layout = {n: (a.shape[1:], a.dtype) for n, a in batch.arrays.items()}
        return batch.tensors


class _GrowingBatch:
    """A batch while it is filled, which depends on nothing but its patches."""

    def __init__(self, memory: ReusedMemory | PinnedMemory, length: int) -> None:
        self._memory, self._length = memory, length
        self.tensors: Batch = {}
        self.arrays: RawPatch = {}

    def allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.tensors[name] = self._memory.take(name, (self._length, *shape), dtype)
        self.arrays[name] = self.tensors[name].numpy()

    def put(self, row: int, patch: RawPatch, out: RawPatch) -> None:
        """Copy a patch to its row, but for the arrays that were read there."""
        if row:
            self._widen(row, patch)
        else:
            self._begin(patch)
        for name, values in patch.items():
            if values is not out.get(name):
                self.arrays[name][row] = values

    def _begin(self, patch: RawPatch) -> None:
        for name in self.arrays.keys() - patch.keys():
            del self.arrays[name], self.tensors[name]
        for name, values in patch.items():
            array = self.arrays.get(name, np.empty(0))
            if (array.shape[1:], array.dtype) != (values.shape, values.dtype):
                self.allocate(name, values.shape, values.dtype)

    def _widen(self, row: int, patch: RawPatch) -> None:
        _require_same_layout(self.arrays, patch)
        for name, values in patch.items():
            array = self.arrays[name]
            dtype = np.result_type(array.dtype, values.dtype)
            if dtype != array.dtype:
                self.allocate(name, values.shape, dtype)
                self.arrays[name][:row] = array[:row]

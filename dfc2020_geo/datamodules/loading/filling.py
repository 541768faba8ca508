"""Batches of patches as they are stored, each patch read to its place."""

import threading
from collections.abc import Sequence

import numpy as np

from ...io.memory import Memory, Shape
from .collating import Batch, Stored, StoresPatches, require_same_layout


class BatchReader:
    """Reads patches of a set to their places in a batch; threads may share one."""

    def __init__(self, dataset: StoresPatches, memory: Memory) -> None:
        """Initialize a new BatchReader instance.

        Args:
            dataset: The set.
            memory: Where batches come from.
        """
        self.dataset, self.memory = dataset, memory
        #: Shapes and types of the last batch, for the first patch of the next one.
        self._layout: dict[str, tuple[Shape, np.dtype]] = {}

    def read(
        self, indices: Sequence[int], ended: threading.Event | None = None
    ) -> Batch:
        """Read a batch.

        Args:
            indices: Positions of the patches.
            ended: Set by another thread when no batch is needed any more.

        Returns:
            What the set stores, with an axis of patches in front. Where patches differ
            in type, the batch has the one that holds the numbers of both.

        Raises:
            ValueError: If patches differ in size or in what they have.
        """
        batch = _Filling(self.memory, len(indices))
        for name, (shape, dtype) in self._layout.items():
            batch.make(name, shape, dtype)
        for place, index in enumerate(indices):
            if ended is not None and ended.is_set():
                break
            out = {name: array[place] for name, array in batch.arrays.items()}
            batch.put(place, self.dataset.read_raw(index, out), out)
        self._layout = {n: (a.shape[1:], a.dtype) for n, a in batch.arrays.items()}
        return batch.tensors


class _Filling:
    """A batch while it is filled, which depends on nothing but its patches."""

    def __init__(self, memory: Memory, length: int) -> None:
        self._memory, self._length = memory, length
        self.tensors: Batch = {}
        self.arrays: Stored = {}

    def make(self, name: str, shape: Shape, dtype: np.dtype) -> None:
        """Take memory for patches of a shape and type."""
        self.tensors[name] = self._memory.take(name, (self._length, *shape), dtype)
        self.arrays[name] = self.tensors[name].numpy()

    def put(self, place: int, patch: Stored, out: Stored) -> None:
        """Put a patch in its place, but for what was read there."""
        if place:
            self._widen(place, patch)
        else:
            self._begin(patch)
        for name, values in patch.items():
            if values is not out.get(name):
                self.arrays[name][place] = values

    def _begin(self, patch: Stored) -> None:
        for name in self.arrays.keys() - patch.keys():
            del self.arrays[name], self.tensors[name]
        for name, values in patch.items():
            array = self.arrays.get(name, np.empty(0))
            if (array.shape[1:], array.dtype) != (values.shape, values.dtype):
                self.make(name, values.shape, values.dtype)

    def _widen(self, place: int, patch: Stored) -> None:
        require_same_layout(self.arrays, patch)
        for name, values in patch.items():
            array = self.arrays[name]
            dtype = np.result_type(array.dtype, values.dtype)
            if dtype != array.dtype:
                self.make(name, values.shape, dtype)
                self.arrays[name][:place] = array[:place]

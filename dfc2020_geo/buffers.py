"""Memory for batches that is used again.

The system clears fresh memory page by page, which takes longer than reading into it.
"""

import math
import weakref
from collections import deque
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Shape = tuple[int, ...]

# Some processors copy a page of a file four times as slowly to the beginning of one.
_PAGE, _OFFSET = 4096, 64


class Memory(Protocol):
    """Where batches come from."""

    def take(self, name: str, shape: Shape, dtype: np.dtype) -> Tensor:
        """Return a tensor whose content is undefined."""
        ...


class ReusedMemory:
    """Blocks of memory that are handed out again when nothing looks at them."""

    def __init__(self, num_blocks: int) -> None:
        """Initialize a new ReusedMemory instance.

        Args:
            num_blocks: Number of blocks of each name that are kept for later.
        """
        self._num_blocks = num_blocks
        self._blocks: dict[str, deque[_Block]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies, and what other processes get, without memory of their own."""
        return ReusedMemory, (self._num_blocks,)

    def take(self, name: str, shape: Shape, dtype: np.dtype) -> Tensor:
        """Return a tensor whose content is undefined.

        Args:
            name: What is kept there; a block is used again for the same.
            shape: Shape of the tensor.
            dtype: Its type.
        """
        return self._lend(name, shape, _torch_type(dtype))

    def empty(
        self, shape: Shape, dtype: torch.dtype, device: torch.device, name: str = ''
    ) -> Tensor:
        """Return a tensor whose content is undefined, on any device.

        Args:
            shape: Shape of the tensor.
            dtype: Its type.
            device: Where it is; blocks are of a processor, others have their own.
            name: As of :meth:`take`.
        """
        if device.type == 'cpu':
            return self._lend(name, shape, dtype)
        return torch.empty(shape, dtype=dtype, device=device)

    def _lend(self, name: str, shape: Shape, dtype: torch.dtype) -> Tensor:
        size = _size(shape, dtype)
        blocks = self._blocks.setdefault(name, deque(maxlen=self._num_blocks))
        block = _take_free(blocks, size) or _Block(size)
        loan = block.lend(shape, dtype)
        blocks.append(block)
        return loan


def _take_free(blocks: 'deque[_Block]', size: int) -> '_Block | None':
    """Take out a block that nothing looks at.

    Threads take blocks by turns without a lock, which one of them could hold while it
    collects rubbish, and waits there for another thread.
    """
    for _ in range(len(blocks)):
        try:
            block = blocks.popleft()
        except IndexError:
            return None
        if block.size >= size and block.is_free():
            return block
        blocks.append(block)
    return None


class _Block:
    """Bytes that know whether a tensor or an array still looks at them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._bytes = _align(torch.empty(size + _PAGE, dtype=torch.uint8))
        self._loan: weakref.ref[np.ndarray] | None = None

    def is_free(self) -> bool:
        return self._loan is None or self._loan() is None

    def lend(self, shape: Shape, dtype: torch.dtype) -> Tensor:
        # The tensor, and all that is made of it, holds this array. Views of the array
        # itself would not, so it is given to nobody else.
        array = self._bytes.numpy()[: _size(shape, dtype)]
        self._loan = weakref.ref(array)
        return torch.from_numpy(array).view(dtype).view(shape)


class PinnedMemory:
    """Memory that an accelerator copies from by itself.

    torch hands out a block again when nothing holds it and the copies from it are done.
    """

    def take(self, name: str, shape: Shape, dtype: np.dtype) -> Tensor:
        """Return a tensor whose content is undefined.

        Args:
            name: What is kept there.
            shape: Shape of the tensor.
            dtype: Its type.
        """
        kind = _torch_type(dtype)
        size = _size(shape, kind)
        pinned = torch.empty(size + _PAGE, dtype=torch.uint8, pin_memory=True)
        return _align(pinned)[:size].view(kind).view(shape)


def _align(memory: Tensor) -> Tensor:
    """Begin a little after the beginning of a page."""
    return memory[(_OFFSET - memory.data_ptr()) % _PAGE :]


def _torch_type(dtype: np.dtype) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype


def _size(shape: Shape, dtype: torch.dtype) -> int:
    return math.prod(shape) * dtype.itemsize

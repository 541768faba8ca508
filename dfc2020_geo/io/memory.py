"""Memory for batches that is reused.

The system clears fresh memory page by page, which takes longer than reading into it.
"""

import math
import weakref
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Some processors copy a page of a file four times as slowly to the beginning of one.
_PAGE, _OFFSET = 4096, 64


class ReusedMemory:
    """Blocks of memory that are reused once no tensor or array refers to them."""

    def __init__(self, num_blocks: int) -> None:
        """Initialize a new ReusedMemory instance.

        Args:
            num_blocks: Number of blocks that are kept for each name.
        """
        self._num_blocks = num_blocks
        self._blocks: dict[str, deque[_Block]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle without the blocks."""
        return ReusedMemory, (self._num_blocks,)

    def take(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
        """Return a tensor whose content is undefined.

        Args:
            name: A block is reused for tensors of the same name.
            shape: Shape of the tensor.
            dtype: Its type.

        Returns:
            Tensor on the CPU.
        """
        return self._lend(name, shape, _torch_type(dtype))

    def empty(
        self, shape: tuple[int, ...], dtype: torch.dtype, source: Tensor, name: str = ''
    ) -> Tensor:
        """Return a tensor whose content is undefined, for what is computed from another.

        Args:
            shape: Shape of the tensor.
            dtype: Its type.
            source: A tensor of the same device. Blocks are used on the CPU only, and not
                where operations are traced, as by torch.compile, torch.export and
                torch.func.
            name: As of :meth:`take`.

        Returns:
            Tensor on the device of *source*.
        """
        if source.device.type == 'cpu' and _has_memory(source):
            return self._lend(name, shape, dtype)
        return torch.empty(shape, dtype=dtype, device=source.device)

    def _lend(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        size = _size(shape, dtype)
        blocks = self._blocks.setdefault(name, deque(maxlen=self._num_blocks))
        block = _take_free(blocks, size) or _Block(size)
        loan = block.lend(shape, dtype)
        blocks.append(block)
        return loan


def _has_memory(tensor: Tensor) -> bool:
    """Tell whether a tensor has memory, and is not one that torch traces with."""
    if torch.compiler.is_compiling() or type(tensor) is not Tensor:
        return False
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def _take_free(blocks: 'deque[_Block]', size: int) -> '_Block | None':
    """Take out a block that nothing refers to.

    There is no lock: a thread that holds it could start garbage collection, and wait in
    a destructor for another thread that needs the lock.
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
    """Bytes that know whether a tensor or an array still refers to them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._bytes = _align(_empty_bytes(size + _PAGE))
        self._loan: weakref.ref[np.ndarray] | None = None

    def is_free(self) -> bool:
        return self._loan is None or self._loan() is None

    def lend(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        # The tensor, and all that is made of it, holds this array. Views of the array
        # itself would not, so it is given to nobody else.
        array = self._bytes.numpy()[: _size(shape, dtype)]
        self._loan = weakref.ref(array)
        return torch.from_numpy(array).view(dtype).view(shape)


class PinnedMemory:
    """Pinned (page-locked) memory, from which an accelerator copies by itself.

    torch reuses a block once nothing refers to it and the copies from it are done.
    """

    def take(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
        """Return a tensor whose content is undefined.

        Args:
            name: Not used: torch reuses blocks of any name.
            shape: Shape of the tensor.
            dtype: Its type.

        Returns:
            Tensor in pinned memory.
        """
        kind = _torch_type(dtype)
        size = _size(shape, kind)
        pinned = _empty_bytes(size + _PAGE, pin_memory=True)
        return _align(pinned)[:size].view(kind).view(shape)


def _empty_bytes(size: int, pin_memory: bool = False) -> Tensor:
    # Programs may set another default device.
    return torch.empty(size, dtype=torch.uint8, device='cpu', pin_memory=pin_memory)


def _align(memory: Tensor) -> Tensor:
    """Begin 64 bytes after the beginning of a page."""
    return memory[(_OFFSET - memory.data_ptr()) % _PAGE :]


def _torch_type(dtype: np.dtype) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype


def _size(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return math.prod(shape) * dtype.itemsize

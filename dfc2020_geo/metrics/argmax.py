"""The best class of each pixel, block by block in the processor's cache."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

#: Pixels that are looked at in one go, few enough to stay in the processor's cache.
_BLOCK = 8_192

#: More classes than this do not fit the bytes that they are told apart by.
_MAX_CLASSES = 255


def best_class(scores: Tensor, dim: int = 0) -> Tensor:
    """Find the class of the highest score; the first of equal ones.

    NaN counts as the highest. On a processor this is several times faster than
    :func:`torch.argmax` and :func:`torch.max`, which go through memory pixel by pixel;
    elsewhere it is :func:`torch.max`.

    Args:
        scores: Scores of at most 255 classes, of any shape and real type.
        dim: The axis of the classes.

    Returns:
        Indices in the shape of *scores* without its axis *dim*, uint8.

    Raises:
        ValueError: If there is no class, or more than 255.
    """
    if not 0 < scores.shape[dim] <= _MAX_CLASSES:
        raise ValueError(
            f'Expected scores of 1 to {_MAX_CLASSES} classes, '
            f'got {scores.shape[dim]} on axis {dim} of {tuple(scores.shape)}.'
        )
    scores = scores.detach().movedim(dim, 0)
    if scores.device.type != 'cpu':
        return scores.max(dim=0).indices.byte()
    classes = torch.empty(scores.shape[1:], dtype=torch.uint8)
    for block, target in _blocks(scores, classes):
        target.copy_(_best_of_block(block))
    return classes


def _blocks(scores: Tensor, classes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut scores of shape ``(C, ...)`` and their classes into blocks of pixels."""
    if classes.numel() <= _BLOCK:
        if classes.numel():
            yield scores, classes
        return
    rows = _BLOCK * len(classes) // classes.numel()
    if rows:
        yield from zip(scores.split(rows, dim=1), classes.split(rows), strict=True)
        return
    for part, target in zip(scores.unbind(dim=1), classes, strict=True):
        yield from _blocks(part, target)


def _best_of_block(scores: Tensor) -> Tensor:
    """Find the best class in whole planes, which the processor does in wide steps.

    NumPy does so at least twice as fast as torch, and takes no threads from a network.
    """
    if scores.stride(0) < scores.stride(-1):  # channels last
        scores = scores.contiguous()
    if scores.dtype in (torch.bfloat16, torch.float16):
        scores = scores.float()
    values = scores.numpy()
    best = np.maximum.reduce(values)
    # Counted down, so that the first of equal classes is the highest number.
    numbers = np.arange(len(values), 0, -1, dtype=np.uint8)
    equal = (values == best).view(np.uint8)
    equal *= numbers.reshape(-1, *[1] * best.ndim)
    number = np.maximum.reduce(equal)
    if not number.all():  # NaN equals nothing
        return scores.max(dim=0).indices
    return torch.from_numpy(np.asarray(len(values) - number))

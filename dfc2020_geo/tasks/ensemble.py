"""Averages over networks and over the symmetries of the square."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..metrics.argmax import best_class

Network = Callable[[Tensor], Tensor]


def vote(
    networks: Sequence[Network], images: Tensor, symmetries: bool = False
) -> tuple[Tensor, Tensor]:
    """Average the probabilities of several networks, or of several views.

    Args:
        networks: Each computes logits of shape ``(B, num_classes, H, W)``.
        images: Images of shape ``(B, C, H, W)``.
        symmetries: Whether each network sees the 8 flips and quarter turns of the
            images, and its answers are turned back.

    Returns:
        Logarithms of the mean probabilities, ``(B, num_classes, H, W)``, float32: logits
        whose softmax are the mean probabilities. And the share of votes for another
        class than theirs, ``(B, H, W)``.
    """
    turns = [(k, flip) for k in range(4) for flip in (False, True)]
    views = turns if symmetries else turns[:1]
    total: Tensor | None = None
    classes = []
    for network in networks:
        for turn, flip in views:
            logits = _turn_back(network(_turn(images, turn, flip)), turn, flip)
            probabilities = logits.float().softmax(dim=1)
            classes.append(best_class(probabilities, dim=1))
            total = probabilities if total is None else total.add_(probabilities)
    assert total is not None, 'there is a network'
    mean = total.div_(len(classes))
    elected = best_class(mean, dim=1)
    against = torch.stack([(choice != elected).float() for choice in classes])
    # The smallest positive number keeps the logarithm of 0 finite.
    return mean.clamp_(min=torch.finfo(mean.dtype).tiny).log_(), against.mean(dim=0)


def _turn(images: Tensor, turn: int, flip: bool) -> Tensor:
    images = images.flip(-1) if flip else images
    return images.rot90(turn, (-2, -1))


def _turn_back(images: Tensor, turn: int, flip: bool) -> Tensor:
    images = images.rot90(-turn, (-2, -1))
    return images.flip(-1) if flip else images

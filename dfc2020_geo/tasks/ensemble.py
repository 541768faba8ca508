"""Average of probabilities: ensembles and test-time augmentation."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..metrics.argmax import best_class


def average_probabilities(
    networks: Sequence[Callable[[Tensor], Tensor]], images: Tensor, tta: bool = False
) -> tuple[Tensor, Tensor]:
    """Average the probabilities of an ensemble, with or without test-time augmentation.

    Args:
        networks: Each computes logits of shape ``(B, num_classes, H, W)``.
        images: Images of shape ``(B, C, H, W)``.
        tta: Whether each network predicts the 8 flips and quarter turns of the images,
            and its predictions are turned back.

    Returns:
        Logarithms of the average probabilities, ``(B, num_classes, H, W)``, float32:
        logits whose softmax are the average probabilities. And the disagreement, the
        fraction of predictions of another class than theirs, ``(B, H, W)``, float32.
    """
    turns = [(k, flip) for k in range(4) for flip in (False, True)]
    views = turns if tta else turns[:1]
    total: Tensor | None = None
    classes = []
    for network in networks:
        for turn, flip in views:
            view = images.flip(-1) if flip else images
            logits = network(view.rot90(turn, (-2, -1))).rot90(-turn, (-2, -1))
            logits = logits.flip(-1) if flip else logits
            probabilities = logits.float().softmax(dim=1)
            classes.append(best_class(probabilities, dim=1))
            total = probabilities if total is None else total.add_(probabilities)
    assert total is not None, 'there is a network'
    mean = total.div_(len(classes))
    prediction = best_class(mean, dim=1)
    differs = torch.stack([(one != prediction).float() for one in classes])
    # The smallest positive number keeps the logarithm of 0 finite.
    return mean.clamp_(min=torch.finfo(mean.dtype).tiny).log_(), differs.mean(dim=0)

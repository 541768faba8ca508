"""Losses that leave ignored pixels out and are 0 where every pixel is ignored."""

from collections.abc import Sequence

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..classes import IGNORE_INDEX
from .optimizers import is_finite


class CrossEntropy(nn.Module):
    """Mean cross entropy over the pixels that are not ignored, 0 if there are none."""

    weight: Tensor | None

    def __init__(self, class_weights: Sequence[float] | None = None) -> None:
        """Initialize a new CrossEntropy instance.

        Args:
            class_weights: Weight of each class, if not all weigh the same.
        """
        super().__init__()
        weight = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer('weight', weight, persistent=False)

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: Raw scores of shape ``(B, num_classes, H, W)``.
            mask: Class indices of shape ``(B, H, W)``, int64.

        Returns:
            A scalar.
        """
        # A sum over pixels overflows half precision.
        total = functional.cross_entropy(
            logits.float(),
            mask,
            self.weight,
            ignore_index=IGNORE_INDEX,
            reduction='sum',
        )
        counted = mask != IGNORE_INDEX
        if self.weight is None:
            weight = counted.sum()
        else:
            weight = (self.weight[mask.where(counted, 0)] * counted).sum()
        # Without a synchronisation: the sum is 0 wherever the weight is.
        return total / weight.where(weight > 0, 1)


class ValidPixels(nn.Module):
    """Any loss, of the pixels that are not ignored; 0 if there are none."""

    def __init__(self, loss: nn.Module) -> None:
        """Initialize a new ValidPixels instance.

        Args:
            loss: Loss of logits ``(B, num_classes, N)`` and indices ``(B, N)``.
        """
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: Raw scores of shape ``(B, num_classes, H, W)``.
            mask: Class indices of shape ``(B, H, W)``, int64.

        Returns:
            A scalar.
        """
        counted = mask != IGNORE_INDEX
        pixels = logits.float().movedim(1, -1)[counted]
        if not len(pixels):
            return pixels.sum()
        return self.loss(pixels.T[None], mask[counted][None])


_LOSSES = {
    'jaccard': lambda: smp.losses.JaccardLoss(mode='multiclass'),
    'dice': lambda: smp.losses.DiceLoss(mode='multiclass'),
    # Normalised by the sum of its weights; a mean would divide by the pixels as well.
    'focal': lambda: smp.losses.FocalLoss(
        'multiclass', normalized=True, reduction='sum'
    ),
}


def build_loss(name: str, class_weights: Sequence[float] | None = None) -> nn.Module:
    """Build one of torchgeo's losses for several classes, safe with ignored pixels.

    Args:
        name: ``'ce'``, ``'jaccard'``, ``'dice'`` or ``'focal'``.
        class_weights: Weight of each class, for ``'ce'`` only.

    Returns:
        A module that takes logits ``(B, num_classes, H, W)`` and a mask ``(B, H, W)``.

    Raises:
        ValueError: If there is no such loss, it takes no class weights, or one of
            them is negative or no number.

    >>> loss = build_loss('ce')
    >>> mask = torch.tensor([[[0, 1], [1, IGNORE_INDEX]]])
    >>> f'{loss(torch.zeros(1, 2, 2, 2), mask):.4f}'  # log 2 for each of three pixels
    '0.6931'
    """
    weights = [] if class_weights is None else class_weights
    if not all(is_finite(w) and w >= 0 for w in weights) or (
        class_weights is not None and not any(weights)
    ):
        raise ValueError(
            'Expected class weights from 0, not all of them 0, got '
            f'{list(class_weights or ())}.'
        )
    if name == 'ce':
        return CrossEntropy(class_weights)
    if name not in _LOSSES:
        raise ValueError(
            f"Expected loss to be one of {('ce', *_LOSSES)}, got '{name}'."
        )
    if class_weights is not None:
        raise ValueError(f"Expected class_weights with loss 'ce' only, got '{name}'.")
    return ValidPixels(_LOSSES[name]())

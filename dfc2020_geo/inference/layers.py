"""From the scores of some rows to the layers of a map."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..classes import IGNORE_INDEX, ClassScheme
from ..metrics.argmax import best_class
from .maps import encode_share

#: Rows that are turned into shares in one go; a few keep memory small.
_BLOCK = 64


def make_layers(
    scores: Tensor, valid: Tensor, scheme: ClassScheme, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Compute the layers of some rows of a map.

    Args:
        scores: Logits of shape ``(num_classes, H, W)``; with the layer
            ``disagreement``, it is one more channel.
        valid: Boolean of shape ``(H, W)``, False without data.
        scheme: The classes.
        names: Names of the layers beside the classes.

    Returns:
        Arrays of uint8 by the name of their layer: codes of shape ``(H, W)`` as
        ``classes``, and shares as :func:`~dfc2020_geo.inference.maps.encode_share` stores them.
    """
    logits = scores[: len(scheme)]
    indices = best_class(logits)
    indices[~valid] = IGNORE_INDEX
    layers = {'classes': scheme.decode(indices.numpy())}
    for name in names:
        size = len(scheme) if name == 'probabilities' else 1
        layers[name] = np.empty((size, *valid.shape), np.uint8)
    for start in range(0, len(valid) if names else 0, _BLOCK):
        rows = slice(start, start + _BLOCK)
        shares = _make_shares(scores[:, rows], len(scheme))
        for name in names:
            known = shares[name].masked_fill(~valid[rows], math.nan)
            layers[name][:, rows] = encode_share(known.numpy())
    return layers


def _make_shares(scores: Tensor, num_classes: int) -> dict[str, Tensor]:
    """Compute every share, each of shape ``(bands, H, W)``."""
    probabilities = scores[:num_classes].softmax(dim=0)
    entropy = torch.special.entr(probabilities).sum(dim=0, keepdim=True)
    return {
        'probabilities': probabilities,
        'confidence': probabilities.amax(dim=0, keepdim=True),
        'entropy': (entropy / math.log(num_classes)).clamp(0, 1),
        # Weights that add up to 1 do so up to rounding.
        'disagreement': scores[num_classes:].clamp(0, 1),
    }

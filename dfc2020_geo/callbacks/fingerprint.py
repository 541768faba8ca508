"""The fingerprint of predictions: weights, contract, augmentation, precision."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

#: Tensors by name, as a state dict has them.
type Weights = Mapping[str, Tensor]


def hash_weights(weights: Weights) -> str:
    """Hash the weights of a network.

    Args:
        weights: Tensors by name, as a state dict has them, in any order.

    Returns:
        SHA-256 of names and values, hexadecimal. Floating-point values count in single
        precision, as networks are made, whatever type they are kept in.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        values = weights[name].detach().cpu().contiguous().reshape(-1)
        if values.is_floating_point():
            values = values.float()
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def describe_network(
    trainer: Trainer, pl_module: LightningModule, weights: Weights
) -> dict[str, Any]:
    """State what decides the predictions of a network.

    Args:
        trainer: The trainer that predicts.
        pl_module: The task.
        weights: Its weights, before a precision rounds them.

    Returns:
        Plain values by name: checksums of its weights and those of its ensemble, its
        contract, whether test-time augmentation is on, and the precision.
    """
    module: Any = pl_module
    # The first batch brings the members to the task's device and precision.
    others = [member.state_dict() for member in getattr(module, 'members', [])]
    return {
        'weights': [hash_weights(each) for each in (weights, *others)],
        'contract': getattr(module, 'contract', None),
        'tta': bool(module.hparams.get('tta')),
        'precision': str(trainer.precision),
    }

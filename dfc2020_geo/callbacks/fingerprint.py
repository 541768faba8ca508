"""What decides the answers of a network, beside what it is asked."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from ..io.run_record import hash_weights

#: Tensors by name, as a state dict has them.
type Weights = Mapping[str, Tensor]


def describe_network(
    trainer: Trainer, pl_module: LightningModule, weights: Weights
) -> dict[str, Any]:
    """State what decides the answers of a network.

    Args:
        trainer: The trainer that predicts.
        pl_module: The task.
        weights: Its weights, before a precision rounds them.

    Returns:
        Plain values by name: checksums of its weights and those of its ensemble, its
        contract, whether it votes over symmetries, and the precision.
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

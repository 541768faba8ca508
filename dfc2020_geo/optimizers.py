"""Parameter groups and what a checkpoint remembers of an optimiser."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer


def parameter_groups(
    network: nn.Module, lr: float, backbone_lr: float | None
) -> list[dict[str, Any]]:
    """Split the parameters of a network by learning rate.

    Args:
        network: Network whose backbone, if it has one, is its ``encoder``.
        lr: Learning rate of all parameters but those of the backbone.
        backbone_lr: Learning rate of the backbone, if it has its own.

    Returns:
        One group, or two with the backbone's first.

    Raises:
        ValueError: If a rate is given for a backbone that the network lacks.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    if backbone_lr is None:
        return [{'params': parameters, 'lr': lr}]
    encoder = getattr(network, 'encoder', None)
    if encoder is None:
        raise ValueError(
            f'Expected a network with a backbone for backbone_lr={backbone_lr}, '
            f'got {type(network).__name__}; leave backbone_lr out.'
        )
    backbone = [p for p in encoder.parameters() if p.requires_grad]
    known = {id(parameter) for parameter in backbone}
    head = [p for p in parameters if id(p) not in known]
    groups = ({'params': backbone, 'lr': backbone_lr}, {'params': head, 'lr': lr})
    return [group for group in groups if group['params']]


def describe_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """State what resuming restores and therefore cannot change.

    Args:
        optimizer: The optimiser, before or after its first step.

    Returns:
        Its class and the initial learning rate of each of its groups.
    """
    rates = _initial_rates(optimizer.param_groups)
    return {'optimizer': type(optimizer).__name__, 'lr': rates}


def _initial_rates(groups: Iterable[dict[str, Any]]) -> list[float]:
    """Return each group's rate before a scheduler changed it."""
    return [float(group.get('initial_lr', group['lr'])) for group in groups]

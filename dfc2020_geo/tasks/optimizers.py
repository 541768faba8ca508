"""Parameter groups, and what a checkpoint remembers of an optimiser."""

from typing import Any

from torch import nn


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


def describe_schedule(plan: Any) -> dict[str, Any]:
    """State what resuming restores of an optimiser and a scheduler.

    Args:
        plan: What ``configure_optimizers`` returns, before the first step.

    Returns:
        Plain values by name: the class and every option of both, the optimiser's as
        one value per group of parameters. Nothing, if *plan* is not a dict of one
        optimiser and one scheduler.
    """
    if not isinstance(plan, dict):
        return {}
    optimizer, schedule = plan['optimizer'], plan['lr_scheduler']
    groups = [
        {k: v for k, v in group.items() if k not in ('params', 'initial_lr')}
        # A scheduler changes the rate when it is made.
        | {'lr': group.get('initial_lr', group['lr'])}
        for group in optimizer.param_groups
    ]
    scheduler = schedule['scheduler']
    state = {k: v for k, v in scheduler.state_dict().items() if _is_plain(v)}
    return {
        'optimizer': type(optimizer).__name__,
        **{name: [g[name] for g in groups] for name in groups[0]},
        'lr_scheduler': type(scheduler).__name__,
        'lr_interval': schedule['interval'],
        **{f'lr_scheduler.{name}': value for name, value in state.items()},
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))

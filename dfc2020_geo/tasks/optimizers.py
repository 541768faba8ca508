"""Parameter groups, and what a checkpoint remembers of an optimiser."""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

#: The largest number that a learning rate may be: optimisers compute in this type.
_MOST = torch.finfo(torch.float32).max


def check_rates(lr: Any, backbone_lr: Any, patience: Any) -> None:
    """Refuse numbers with which nothing can be trained.

    Args:
        lr: Learning rate.
        backbone_lr: Learning rate of the backbone, None if it has none of its own; 0
            keeps it as it is.
        patience: Epochs before a scheduler lowers the rate.

    Raises:
        ValueError: If a rate is negative or no number, or the patience is negative.
    """
    if not (is_finite(lr) and 0 < lr <= _MOST):
        raise ValueError(
            f'Expected lr to be a number above 0 and at most {_MOST:.0e}, got {lr}.'
        )
    if backbone_lr is not None and not (
        is_finite(backbone_lr) and 0 <= backbone_lr <= _MOST
    ):
        raise ValueError(
            f'Expected backbone_lr to be a number from 0 to {_MOST:.0e}, got '
            f'{backbone_lr}.'
        )
    if not (is_finite(patience) and patience >= 0):
        raise ValueError(f'Expected patience to be a number from 0, got {patience}.')


def is_finite(value: Any) -> bool:
    """Say whether a value is one real number, and finite.

    Args:
        value: Anything.

    Returns:
        True for finite real numbers, also in a tensor or array of no dimensions.
    """
    try:
        return math.isfinite(value)
    except (OverflowError, TypeError, ValueError, RuntimeError):
        return False


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


@contextmanager
def explain_options() -> Generator[None]:
    """Say of what an optimiser or a schedule refuses that it is about its options.

    Returns:
        A context manager.

    Raises:
        ValueError: If one does not take its options.
    """
    try:
        yield
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(
            'Expected options that the optimiser and its schedule take, got others '
            f'({" ".join(str(error).split())}); see model.optimizer and '
            'model.lr_scheduler.'
        ) from error


def require_periods(scheduler: Any) -> None:
    """Refuse periods of a schedule by which it would divide later.

    Args:
        scheduler: Any scheduler of torch.

    Raises:
        ValueError: If one is below 1.
    """
    for name in ('step_size', 'T_max', 'T_0', 'total_steps', 'total_iters'):
        value = getattr(scheduler, name, 1)
        if isinstance(value, (int, float)) and value < 1:
            raise ValueError(f'{name} from 1, not {value}')


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


def check_state(plan: Any, checkpoint: Mapping[str, Any]) -> None:
    """Refuse the state of another optimiser or scheduler, before it is restored.

    Args:
        plan: What ``configure_optimizers`` returns; it is of no use after that.
        checkpoint: What Lightning has read, with ``'optimizer_states'`` and
            ``'lr_schedulers'``.

    Raises:
        LookupError: If there is no such state.
        TypeError: If it is something else.
        ValueError: If it is that of another optimiser or of other parameters.
    """
    states, schedules = checkpoint['optimizer_states'], checkpoint['lr_schedulers']
    if not isinstance(plan, dict):
        return
    if (len(states), len(schedules)) != (1, 1):
        raise ValueError(
            f'{len(states)} optimizer_states and {len(schedules)} lr_schedulers'
        )
    groups = states[0]['param_groups']
    numbers = [number for group in groups for number in group['params']]
    if not all(isinstance(number, int) for number in numbers):
        return  # a strategy that keeps them in its own way
    plan['optimizer'].load_state_dict(states[0])
    plan['lr_scheduler']['scheduler'].load_state_dict(schedules[0])
    for parameter, moments in plan['optimizer'].state.items():
        for name, value in moments.items():
            is_moment = isinstance(value, Tensor) and name in _MOMENTS
            if is_moment and value.shape != parameter.shape:
                raise ValueError(
                    f'{name} of shape {tuple(value.shape)}, not '
                    f'{tuple(parameter.shape)}'
                )


#: What optimisers keep of each parameter in its shape.
_MOMENTS = ('exp_avg', 'exp_avg_sq', 'momentum_buffer', 'square_avg')


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))

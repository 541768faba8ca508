"""Checks of weights and optimiser states against a network."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from ..models.contract import describe_weights

#: Options of the implementation, which change no result; torch adds to these.
_MEANS = {'params', 'initial_lr', 'foreach', 'fused', 'capturable', 'differentiable'}

#: The options that SGD and RMSprop had in 2020: each of theirs must be there.
_OPTIONS = {'lr', 'weight_decay', 'momentum', 'dampening', 'nesterov'}
_OPTIONS |= {'alpha', 'eps', 'centered'}


def check_weights(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path | str
) -> None:
    """Refuse weights of another architecture, and describe the difference.

    Args:
        weights: Tensors from a file.
        expected: Tensors of the network that the file's arguments describe.
        path: The file.

    Raises:
        ValueError: If a tensor is missing, is not the network's, or has another shape.
    """
    if not (difference := describe_weights(weights, expected)):
        return
    found, wanted = (
        {name: tuple(value.shape) for name, value in tensors.items()}
        for tensors in (weights, expected)
    )
    raise ValueError(
        f'Expected the weights of the network that the arguments describe, got {path} '
        f'with {difference}. {_explain(found, wanted)}'
    )


def _explain(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Explain differences of shapes by the arguments that cause them."""
    belongs = 'take the args.pkl that belongs to it.'
    if found.keys() != wanted.keys():
        half = found.keys() < wanted.keys() and len(found) > len(wanted) / 2
        what = 'It is incomplete' if half else 'It is another model'
        return f'{what}; {belongs}'
    first, last = next(iter(wanted)), next(reversed(wanted))
    reasons = []
    if found[first] != wanted[first] and len(found[first]) == 4:
        reasons.append(
            f'It reads {found[first][1]} channels, while use_s1, use_s2hr, use_s2mr '
            f'and use_s2lr of the arguments give {wanted[first][1]}'
        )
    if found[last] != wanted[last] and len(found[last]) == 1:
        reasons.append(
            f'It tells {found[last][0]} classes apart, while no_savanna of the '
            f'arguments gives {wanted[last][0]}'
        )
    return f'{". ".join(reasons) or "It is another model"}; {belongs}'


def describe_difference(state: Mapping[str, Any], optimizer: Optimizer) -> str | None:
    """Describe how an optimiser state differs from that of an optimiser.

    Args:
        state: From a file.
        optimizer: The optimiser that is wanted.

    Returns:
        The first group, setting or shape that differs, or None.
    """
    expected = optimizer.state_dict()['param_groups']
    sizes, wanted = (
        [len(group['params']) for group in groups]
        for groups in (state['param_groups'], expected)
    )
    if sizes != wanted:
        return f'groups of {sizes} parameters, not {wanted}'
    for theirs, ours in zip(state['param_groups'], expected, strict=True):
        for name in sorted(ours.keys() & (theirs.keys() - _MEANS | _OPTIONS)):
            if not _is_same(theirs.get(name), ours[name]):
                return f'{name}={theirs.get(name)}, not {ours[name]}'
    return _describe_other_buffer(state, optimizer)


def _is_same(one: Any, other: Any) -> bool:
    both = isinstance(one, (int, float)) and isinstance(other, (int, float))
    return math.isclose(one, other, rel_tol=1e-9) if both else one is other


def _describe_other_buffer(
    state: Mapping[str, Any], optimizer: Optimizer
) -> str | None:
    numbers = [i for group in state['param_groups'] for i in group['params']]
    parameters = [p for group in optimizer.param_groups for p in group['params']]
    known = {n: p.shape for n, p in zip(numbers, parameters, strict=True)}
    for number, buffers in state['state'].items():
        for name, value in buffers.items():
            shape = tuple(getattr(value, 'shape', ()))
            if number not in known or (shape and shape != tuple(known[number])):
                return f'{name} of shape {shape}'
    return None

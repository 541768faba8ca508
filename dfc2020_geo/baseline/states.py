"""Reading and writing ``checkpoint_step_N.pth`` of the 2020 baseline."""

import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..datasets.indexing.layout import name_some
from ..models.contract import is_real
from .pickles import DAMAGE

#: Names of what the file holds.
WEIGHTS, STEP, OPTIMIZER = 'model_state_dict', 'step', 'optimizer_state_dict'

#: What the names of a network's tensors begin with in a task.
_NETWORK = 'model.'

#: What torch raises for a file that it did not write, or one against its rules.
_DAMAGE = (*DAMAGE, AssertionError, OSError, RuntimeError, struct.error)


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Weights, step count and optimiser state of a training.

    Attributes:
        weights: The network's tensors by name.
        step: Number of the optimisation step.
        optimizer: What the optimiser's ``state_dict`` gave, or None.
        remarks: Parts that the file lacks, with the consequence, in sentences.
    """

    weights: dict[str, Tensor]
    step: int = 0
    optimizer: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()


def read_state(path: Path | str) -> TrainingState:
    """Read a checkpoint of the baseline, tensors and plain values only.

    Args:
        path: File in torch's format of 2020 or today's. A bare state dict will do, and
            so will one without ``step`` or ``optimizer_state_dict``.

    Returns:
        The network's state.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it holds no dict.
        ValueError: If it holds something else; the message names what it would import.
    """
    content = _load(path)
    if WEIGHTS not in content:
        if not content or not all(isinstance(v, Tensor) for v in content.values()):
            raise ValueError(
                f'Expected {WEIGHTS}, {STEP} and {OPTIMIZER} in a checkpoint of the '
                f'baseline, got {path} with {name_some(content) or "nothing"}; a '
                'checkpoint of this package needs no import.'
            )
        content = {WEIGHTS: content}
    remarks = []
    if STEP not in content:
        remarks.append('The file does not say its step: counted as 0.')
    if not content.get(OPTIMIZER):
        remarks.append('It has no state of the optimiser: training begins a new one.')
    return TrainingState(
        _check_tensors(content[WEIGHTS], path),
        _check_step(content.get(STEP, 0), path),
        _check_optimizer(content.get(OPTIMIZER), path),
        tuple(remarks),
    )


def write_state(path: Path | str, state: TrainingState) -> None:
    """Write a checkpoint that torch 1.4 and Python 3.7 read.

    Args:
        path: Where the file shall be.
        state: What it shall hold.
    """
    content = {WEIGHTS: state.weights, STEP: state.step, OPTIMIZER: state.optimizer}
    torch.save(content, path, pickle_protocol=3, _use_new_zipfile_serialization=False)


def network_weights(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a task's network, by the names that the network has.

    Args:
        state_dict: The tensors of the task.

    Returns:
        Those of its network.
    """
    return {
        name.removeprefix(_NETWORK): tensor
        for name, tensor in state_dict.items()
        if name.startswith(_NETWORK)
    }


def _load(path: Path | str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise FileNotFoundError(f'Expected a checkpoint, got no file at {path}.')
    try:
        with warnings.catch_warnings():
            # torch reads what protocol 3 needs, but doubts it.
            warnings.filterwarnings('ignore', message='Detected pickle protocol')
            content = torch.load(path, map_location='cpu', weights_only=True)
    except _DAMAGE as error:
        imported = re.search(r'GLOBAL (\S+)', str(error))
        reason = 'is damaged or something else'
        if imported:
            reason = f'would import {imported[1]}'
        raise ValueError(
            f'Expected a checkpoint of tensors and plain values, got {path}, which '
            f'{reason}; nothing of it was run.'
        ) from error
    if not isinstance(content, dict):
        raise TypeError(
            f'Expected a checkpoint of the baseline, a dict, got {path} with '
            f'{type(content).__name__}.'
        )
    return content


def _check_tensors(weights: Any, path: Path | str) -> dict[str, Tensor]:
    if not isinstance(weights, dict):
        raise TypeError(
            f'Expected {WEIGHTS} to be a dict of tensors, got '
            f'{type(weights).__name__} in {path}.'
        )
    for name, value in weights.items():
        if not (isinstance(name, str) and is_real(value)):
            kind = value.type() if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f'Expected {WEIGHTS} to be a dict of tensors of real numbers, got '
                f'{name!r:.80} of {kind} in {path}.'
            )
    return dict(weights)


def _check_step(step: Any, path: Path | str) -> int:
    if type(step) is not int or step < 0:
        raise ValueError(
            f'Expected {STEP} to count from 0, got {step!r:.80} in {path}.'
        )
    return step


def _check_optimizer(state: Any, path: Path | str) -> dict[str, Any] | None:
    if not state:
        return None
    try:
        groups = [group['params'] for group in state['param_groups']]
        whole = bool(groups) and all(
            isinstance(number, int) for group in groups for number in group
        )
        whole = whole and all(isinstance(b, dict) for b in state['state'].values())
    except (AttributeError, LookupError, TypeError):
        whole = False
    if not whole:
        raise ValueError(
            f'Expected {OPTIMIZER} to be the state of a torch optimiser, got something '
            f'else in {path}; leave it out to begin a new one.'
        )
    return state

"""Settings that contradict each other or the checkpoint, refused with their origin."""

import inspect
import os
from collections.abc import Mapping, Sequence
from pydoc import locate
from typing import Any

from ..bands import band_names
from ..models.contract import SHARED_FACTS
from .settings import Setting, find_setting
from .usage import UsageError

#: The least number of settings of the trainer.
_LEAST = {
    'accumulate_grad_batches': 1,
    'check_val_every_n_epoch': 1,
    'gradient_clip_val': 0,
    'log_every_n_steps': 0,
    'num_nodes': 1,
    'num_sanity_val_steps': -1,
    'reload_dataloaders_every_n_epochs': 0,
}

#: What random number generators take.
_LARGEST_SEED = 2**32 - 1

#: Processes that a machine of fewer cores is trusted with as well.
_MOST_PROCESSES = 64


def check_shared_facts(settings: Sequence[Setting]) -> None:
    """Refuse facts that stand under model and data with different values.

    Args:
        settings: All settings, in the order of their precedence.

    Raises:
        UsageError: If the model is told a fact that the data are not.
    """
    for name in SHARED_FACTS:
        model = find_setting(settings, f'model.{name}')
        data = find_setting(settings, f'data.{name}')
        if model is None or (data and _same(name, model.value, data.value)):
            continue
        beside = f' and data.{name}={data.value} in {data.origin}' if data else ''
        raise UsageError(
            f'Expected {name} under data alone, got model.{name}={model.value} in '
            f'{model.origin}{beside}; leave model.{name} out.'
        )


def check_lr(settings: Sequence[Setting]) -> None:
    """Refuse a learning rate that the groups of parameters would override.

    Args:
        settings: All settings, in the order of their precedence.

    Raises:
        UsageError: If the optimiser is told another rate than its own default.
    """
    said = find_setting(settings, 'model.optimizer.lr')
    # The parser writes an optimiser's own default into the settings of a run.
    if said and said.value != _default_lr(settings, said):
        raise UsageError(
            f'Expected the learning rate under model.lr, got '
            f'model.optimizer.init_args.lr={said.value} in {said.origin}.'
        )


def check_facts(
    config: Any, contract: Mapping[str, Any], path: str, settings: Sequence[Setting]
) -> None:
    """Refuse settings that would change what a checkpoint is.

    Args:
        config: Settings of a stage, as the parser has them.
        contract: The facts that the checkpoint fixes.
        path: The checkpoint.
        settings: All settings, for their origins.

    Raises:
        UsageError: If a setting is another than the checkpoint's.
    """
    for name, expected in contract.items():
        group = 'data' if name in SHARED_FACTS else 'model'
        values = config[group].init_args
        if name in values and not _same(name, values[name], expected):
            said = find_setting(settings, f'{group}.{name}')
            where = said.origin if said else 'the defaults'
            raise UsageError(
                f'Expected {group}.{name}={expected} as in the checkpoint {path}, got '
                f'{values[name]} in {where}; leave it out, or take another '
                'checkpoint.'
            )


def check_folders(settings: Sequence[Setting]) -> None:
    """Refuse folders of no name, which a parser takes for the current one.

    Args:
        settings: All settings, in the order of their precedence.

    Raises:
        UsageError: If one is an empty text.
    """
    for said in settings:
        if said.value == '' and said.name.endswith(('_root', '_dir')):
            raise UsageError(
                f"Expected a folder for {said.name}, got an empty name ('') in "
                f'{said.origin}; . is the one you are in.'
            )


def check_numbers(config: Any, settings: Sequence[Setting]) -> None:
    """Refuse numbers that Lightning takes and nothing can be done with.

    Args:
        config: Settings of a stage, as the parser has them.
        settings: All settings, for their origins.

    Raises:
        UsageError: If a number is too small, the seed is none, or there are far more
            processes than cores.
    """
    trainer, seed = config.trainer, config.seed_everything
    if type(seed) is int and not 0 <= seed <= _LARGEST_SEED:
        said = find_setting(settings, 'seed_everything')
        raise UsageError(
            f'Expected seed_everything to be a number from 0 to {_LARGEST_SEED}, got '
            f'{seed} in {said.origin if said else "the defaults"}.'
        )
    for name, least in _LEAST.items():
        value = trainer.get(name)
        if isinstance(value, (int, float)) and value < least:
            raise UsageError(
                f'Expected trainer.{name} to be a number from {least}, got '
                f'{_place(value, name, settings)}.'
            )
    if (value := trainer.get('val_check_interval')) == 0:
        raise UsageError(
            'Expected trainer.val_check_interval to be above 0, got '
            f'{_place(value, "val_check_interval", settings)}; '
            '--trainer.limit_val_batches 0 leaves validation out.'
        )
    most = max(_MOST_PROCESSES, os.cpu_count() or 1)
    try:
        devices = int(trainer.get('devices'))
    except (TypeError, ValueError):
        return
    if devices > most:
        raise UsageError(
            f'Expected at most {most} devices, got '
            f'{_place(devices, "devices", settings)}; each is a process with a network '
            'of its own.'
        )


def _place(value: Any, name: str, settings: Sequence[Setting]) -> str:
    """Say a setting of the trainer and where it stands."""
    said = find_setting(settings, f'trainer.{name}')
    return f'{value} in {said.origin}' if said else f'{value}'


def _same(name: str, one: Any, other: Any) -> bool:
    return band_names(one) == band_names(other) if name == 'bands' else one == other


def _default_lr(settings: Sequence[Setting], said: Setting) -> Any:
    """Return the learning rate that an optimiser has unless told otherwise.

    Args:
        settings: All settings, in the order of their precedence.
        said: The rate; it belongs to the optimiser of the same origin, if there is one.
    """
    names = ('model.optimizer', 'model.optimizer.class_path')
    named = [s for s in settings if s.name in names and isinstance(s.value, str)]
    named.sort(key=lambda s: s.origin == said.origin)
    if not named:
        return None
    path = named[-1].value
    found: Any = locate(path if '.' in path else f'torch.optim.{path}')
    if not callable(found):
        return None
    parameter = inspect.signature(found).parameters.get('lr')
    return parameter and parameter.default

"""Settings that contradict each other or the checkpoint, refused with their origin."""

import inspect
from collections.abc import Mapping, Sequence
from pydoc import locate
from typing import Any

from ..bands import band_names
from ..models.contract import SHARED_FACTS
from .settings import Setting, find_setting
from .usage import UsageError


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

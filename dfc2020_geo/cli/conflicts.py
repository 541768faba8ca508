"""Settings that contradict each other or the checkpoint, refused where they stand."""

import inspect
from collections.abc import Mapping, Sequence
from pydoc import locate
from typing import Any

from ..bands import band_names
from ..models.contract import SHARED_FACTS
from .settings import Statement, find_statement


def check_shared_facts(statements: Sequence[Statement]) -> None:
    """Refuse facts that stand under model and data with different values.

    Args:
        statements: Everything that is said.

    Raises:
        ValueError: If the model is told a fact that the data are not.
    """
    for name in SHARED_FACTS:
        model = find_statement(statements, f'model.{name}')
        data = find_statement(statements, f'data.{name}')
        if model is None or (data and _same(name, model.value, data.value)):
            continue
        beside = f' and data.{name}={data.value} in {data.where}' if data else ''
        raise ValueError(
            f'Expected {name} under data alone, got model.{name}={model.value} in '
            f'{model.where}{beside}; leave model.{name} out.'
        )


def check_lr(statements: Sequence[Statement]) -> None:
    """Refuse a learning rate that the groups of parameters would override.

    Args:
        statements: Everything that is said.

    Raises:
        ValueError: If the optimiser is told another rate than its own default.
    """
    said = find_statement(statements, 'model.optimizer.lr')
    # The parser writes an optimiser's own default into the settings of a run.
    if said and said.value != _default_lr(statements, said):
        raise ValueError(
            f'Expected the learning rate under model.lr, got '
            f'model.optimizer.init_args.lr={said.value} in {said.where}.'
        )


def check_facts(
    config: Any, contract: Mapping[str, Any], path: str, statements: Sequence[Statement]
) -> None:
    """Refuse settings that would change what a checkpoint is.

    Args:
        config: Settings of a stage, as the parser has them.
        contract: The facts that the checkpoint fixes.
        path: The checkpoint.
        statements: Everything that is said, to tell where.

    Raises:
        ValueError: If a setting is another than the checkpoint's.
    """
    for name, expected in contract.items():
        group = 'data' if name in SHARED_FACTS else 'model'
        settings = config[group].init_args
        if name in settings and not _same(name, settings[name], expected):
            said = find_statement(statements, f'{group}.{name}')
            where = said.where if said else 'the defaults'
            raise ValueError(
                f'Expected {group}.{name}={expected} as in the checkpoint {path}, got '
                f'{settings[name]} in {where}; leave it out, or take another '
                'checkpoint.'
            )


def _same(name: str, one: Any, other: Any) -> bool:
    return band_names(one) == band_names(other) if name == 'bands' else one == other


def _default_lr(statements: Sequence[Statement], said: Statement) -> Any:
    """Return the learning rate that an optimiser has unless told otherwise.

    Args:
        statements: Everything that is said.
        said: What is said of the rate; it belongs to the optimiser that is named in
            the same place, if one is.
    """
    names = ('model.optimizer', 'model.optimizer.class_path')
    named = [s for s in statements if s.name in names and isinstance(s.value, str)]
    named.sort(key=lambda s: s.where == said.where)
    if not named:
        return None
    path = named[-1].value
    found: Any = locate(path if '.' in path else f'torch.optim.{path}')
    if not callable(found):
        return None
    parameter = inspect.signature(found).parameters.get('lr')
    return parameter and parameter.default

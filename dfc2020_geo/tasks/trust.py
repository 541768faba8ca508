"""Trust in checkpoints: plain values and known classes alone reach constructors.

A checkpoint is data. Its arguments reach a parser that imports what they name and calls
it, so they are checked first: this imports and calls nothing.
"""

import inspect
import sys
import types
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from os import PathLike
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

#: Arguments of a task that are a class and its arguments, and what the class must be.
MAKERS: dict[str, type] = {'optimizer': Optimizer, 'lr_scheduler': LRScheduler}

#: Where a class whose name has no dots is looked for.
_TORCHS_OWN = ('torch.optim', 'torch.optim.lr_scheduler')

#: Lightning's own way to make a task; what it makes is checked here.
_INSTANTIATOR = 'lightning.pytorch.cli.instantiate_module'

#: Types for which a parser takes a text as it is.
_PLAIN = (str, int, float, bool, bytes, types.NoneType, PathLike, Enum)


def find_task[Task](
    arguments: Mapping[str, Any], base: type[Task], trusted: Collection[str] = ()
) -> type[Task]:
    """Find the class of the task that a checkpoint names.

    Args:
        arguments: The arguments of the task in the checkpoint, with ``_class_path``.
        base: The class that it is, builds on, or that builds on it.
        trusted: Dotted names that may be imported.

    Returns:
        The class; *base* if none, or one that *base* builds on, is named.

    Raises:
        ValueError: If it is no such class of a module that is imported already, and is
            not trusted.
    """
    path = arguments.get('_class_path')
    found = base if path is None else find_imported(path)
    if found is None and isinstance(path, str) and path in trusted:
        found = import_trusted(path)
    if isinstance(found, type) and issubclass(base, found) and found is not object:
        return base
    if not (isinstance(found, type) and issubclass(found, base)):
        raise _distrust('the task', path, f'{base.__name__} or an imported subclass')
    return found


def check_arguments(
    arguments: Mapping[str, Any], task: type, trusted: Collection[str] = ()
) -> None:
    """Refuse arguments that could make a parser import or call something.

    Args:
        arguments: Arguments of the task by name, as a checkpoint has them.
        task: The class that they are for.
        trusted: Dotted names that may be imported and called.

    Raises:
        ValueError: If an optimiser or a schedule is none of a module that is imported
            already, or another argument is not plain.
    """
    hints = _hints(task)
    for name, value in arguments.items():
        if name == '_instantiator':
            if value not in (None, _INSTANTIATOR, *trusted):
                raise _distrust(name, value, 'none of its own')
        elif name in MAKERS:
            _check_maker(name, value, trusted)
        elif name != '_class_path':
            _check(name, value, hints.get(name), trusted)


def _check_maker(name: str, value: Any, trusted: Collection[str]) -> None:
    """Check a class with its arguments, such as an optimiser."""
    if value is None:
        return
    spec = value if isinstance(value, Mapping) else {'class_path': value}
    path = spec.get('class_path')
    found = find_imported(path)
    is_known = isinstance(found, type) and issubclass(found, MAKERS[name])
    if not is_known and path not in trusted:
        raise _distrust(name, path, f'a subclass of {MAKERS[name].__name__}')
    hints = _hints(found) if is_known else {}
    for group, given in spec.items():
        if group in ('init_args', 'dict_kwargs') and isinstance(given, Mapping):
            for key, argument in given.items():
                _check(f'{name}.{key}', argument, hints.get(key), trusted)
        elif group != 'class_path':
            raise _distrust(f'{name}.{group}', given, 'a class and its arguments')


def _check(name: str, value: Any, hint: Any, trusted: Collection[str]) -> None:
    """Refuse a value that is not plain, or that a parser would take for a class."""
    if isinstance(value, str):
        # A name without dots is none that a parser imports.
        if not (value.isidentifier() or value in trusted or _is_plain(hint)):
            raise _distrust(name, value, 'a plain value')
    elif isinstance(value, Mapping):
        path = value.get('class_path')
        if path is not None and path not in trusted:
            raise _distrust(name, path, 'a plain value')
        for key, item in value.items():
            _check(f'{name}.{key}', item, hint if _is_plain(hint) else None, trusted)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(name, item, hint, trusted)
    elif not (value is None or isinstance(value, (bool, int, float))):
        raise _distrust(name, type(value).__name__, 'a plain value')


def _distrust(name: str, value: Any, expected: str) -> ValueError:
    return ValueError(
        f'Expected {name} in the checkpoint to be {expected}, got {value} to import or '
        'call; if you trust it, name it (--trust, trust=).'
    )


def import_trusted(path: str) -> Any:
    """Import what a user trusts.

    Args:
        path: Its dotted name.

    Returns:
        What it names; None if the module has nothing of the name.

    Raises:
        ImportError: If there is no such module.
    """
    module, _, name = path.rpartition('.')
    return getattr(__import__(module, fromlist=[name]), name, None)


def find_imported(path: Any) -> Any:
    """Find what a dotted name means, without importing anything.

    Args:
        path: The name; one without dots is torch's.

    Returns:
        What a module that is imported already has under it; None if there is nothing.
    """
    if not isinstance(path, str):
        return None
    module, _, name = path.rpartition('.')
    for place in [module] if module else _TORCHS_OWN:
        found = vars(sys.modules.get(place, object)).get(name)
        if found is not None:
            return found
    return None


def _hints(cls: type) -> dict[str, Any]:
    """Return the types of the arguments of a class and of those that it builds on."""
    return {
        name: parameter.annotation
        for base in reversed(cls.__mro__)
        if '__init__' in vars(base)
        for name, parameter in inspect.signature(base.__init__).parameters.items()
    }


def _is_plain(hint: Any) -> bool:
    """Say whether a parser imports nothing for a text of a type."""
    if isinstance(hint, TypeAliasType):
        return _is_plain(hint.__value__)
    origin = get_origin(hint)
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType) or (
        isinstance(origin, type) and issubclass(origin, (Sequence, Mapping, set))
    ):
        return all(_is_plain(part) for part in get_args(hint) if part is not ...)
    return hint is Any or (isinstance(hint, type) and issubclass(hint, _PLAIN))

"""``args.pkl`` of the 2020 baseline: read without running any of it, and written."""

import io
import pickle
import pickletools
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..io.atomic import replacing

#: Size in bytes that no pickle of command line arguments comes near.
MAX_SIZE = 65_536

#: What Python 3.7 and later can read.
_PROTOCOL = 3

_PLAIN = (bool, int, float, str, type(None))

#: Every operation that a Namespace of plain values takes in protocols 2 to 5. None of
#: them calls what was imported with arguments of the pickle's choice.
_ALLOWED = {
    'PROTO', 'FRAME', 'STOP', 'GLOBAL', 'STACK_GLOBAL', 'EMPTY_TUPLE', 'NEWOBJ',
    'BUILD', 'MARK', 'EMPTY_DICT', 'SETITEM', 'SETITEMS', 'EMPTY_LIST', 'APPEND',
    'APPENDS', 'NONE', 'NEWTRUE', 'NEWFALSE', 'BININT', 'BININT1', 'BININT2', 'LONG1',
    'LONG4', 'BINFLOAT', 'SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8', 'BINPUT',
    'LONG_BINPUT', 'MEMOIZE', 'BINGET', 'LONG_BINGET',
}  # fmt: skip

#: What Python raises for a pickle that is no pickle, or one against the rules.
DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
)


def read_arguments(path: Path | str) -> dict[str, Any]:
    """Read the arguments of a training run, without running what is in the file.

    Args:
        path: A pickled :class:`argparse.Namespace`, as the baseline's ``args.pkl``.

    Returns:
        Each argument's value: None, a bool, an int, a float, a str or a list of those.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything else; the message names what it would import.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'Expected a pickle of arguments, got no file at {path}; name the '
            'args.pkl that belongs to the checkpoint with --config_file.'
        )
    with Path(path).open('rb') as file:
        content = file.read(MAX_SIZE + 1)
    try:
        _check_operations(content)
        arguments = _load(content)
        _check_plain(arguments)
    except _Refusal as refusal:
        raise ValueError(
            f'Expected a pickled argparse.Namespace of plain values, got {path} '
            f'{refusal}; take the args.pkl that belongs to the checkpoint.'
        ) from refusal
    return arguments


def write_arguments(path: Path | str, values: Mapping[str, Any]) -> None:
    """Write arguments as the baseline does, complete or not at all.

    Args:
        path: Where the file shall be; an older one is replaced.
        values: Plain values by name, see :func:`read_arguments`.

    Raises:
        ValueError: If a name or a value is not plain.
    """
    try:
        _check_plain(values)
    except _Refusal as refusal:
        raise ValueError(f'Expected plain arguments, got some {refusal}.') from refusal
    arguments = Namespace()
    vars(arguments).update(values)
    with replacing(path) as unfinished:
        unfinished.write_bytes(pickle.dumps(arguments, protocol=_PROTOCOL))


class _Refusal(Exception):
    """Why a pickle is not read, in words that follow its path."""


class _NamespaceUnpickler(pickle.Unpickler):
    """Unpickler that knows one class, and nothing else of Python."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == ('argparse', 'Namespace'):
            return Namespace
        raise _refuse_import(module_name, global_name)


def _check_operations(content: bytes) -> None:
    """Refuse whatever the plain values of a Namespace do not take."""
    if len(content) > MAX_SIZE:
        raise _Refusal(f'of more than {MAX_SIZE} bytes')
    try:
        found = pickletools.genops(content)
        operations: list[Any] = [(o.name, arg, at) for o, arg, at in found]
    except (ValueError, AttributeError) as error:
        raise _Refusal('that is damaged or something else') from error
    for name, argument, position in operations:
        if name not in _ALLOWED:
            _refuse_import_before(content, position)
            _refuse_import_by_text(operations)
            raise _Refusal(f'with {name}, an operation that no plain value takes')
        # The unpickler makes room for every position up to this one.
        if name.endswith('BINPUT') and argument > len(content):
            raise _Refusal('that is damaged')
    if operations[-1][2] != len(content) - 1:
        raise _Refusal('with more behind its end')


def _refuse_import_before(content: bytes, position: int) -> None:
    """Refuse a pickle by what it imports before a position, if anything."""
    # Stopped there, and as long as it was: a frame states its length.
    stopped = content[:position] + pickle.STOP + content[position + 1 :]
    with suppress(*DAMAGE):
        _NamespaceUnpickler(io.BytesIO(stopped)).load()


def _refuse_import_by_text(operations: list[Any]) -> None:
    """Refuse a pickle by what it imports by a name of text, as old ones do."""
    for name, argument, _ in operations:
        if name in ('GLOBAL', 'INST') and argument != 'argparse Namespace':
            raise _refuse_import(*argument.split(' ', 1))


def _refuse_import(module_name: str, global_name: str) -> _Refusal:
    return _Refusal(f'that would import {ascii(f"{module_name}.{global_name}")[1:-1]}')


def _load(content: bytes) -> dict[str, Any]:
    try:
        value = _NamespaceUnpickler(io.BytesIO(content)).load()
    except DAMAGE as error:
        raise _Refusal('that is damaged') from error
    if type(value) is not Namespace:
        raise _Refusal(f'with a value of {type(value)}')
    return vars(value)


def _check_plain(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if not isinstance(name, str) or name.startswith('_') or not name.isidentifier():
            raise _Refusal(f'with the name {name!a:.80}')
        for item in value if type(value) is list else [value]:
            if type(item) not in _PLAIN:
                raise _Refusal(f'with {name} of {type(item)}')

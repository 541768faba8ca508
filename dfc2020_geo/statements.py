"""Where a setting stands: which flag or config file of a command line says what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

_CONFIG_FLAGS = ('--config', '-c')

#: Levels between a class and its arguments that flags may leave out.
_LEVELS = ('init_args', 'dict_kwargs')


@dataclass(frozen=True, slots=True)
class Statement:
    """A setting that somebody wrote down.

    Attributes:
        name: Dotted name without ``init_args``, for example ``'data.bands'``.
        value: What it is set to, a plain value.
        where: The flag or the config file that says so.
    """

    name: str
    value: Any
    where: str


def configs_dir() -> Path:
    """Return the directory of the configs that come with the package.

    They are part of an installed wheel; in a clone they lie at its root.
    """
    package = Path(str(files(__package__)))
    inside = package / 'configs'
    return inside if inside.is_dir() else package.parent / 'configs'


def find_config(name: str) -> str:
    """Find a config file by its path, or by its name among those of the package.

    Args:
        name: Path of a file, or for example ``'unet_s1s2'``.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If there is neither.
    """
    if Path(name).is_file():
        return name
    shipped = configs_dir()
    for candidate in (shipped / name, shipped / f'{name}.yaml'):
        if candidate.is_file():
            return str(candidate)
    names = sorted(
        p.relative_to(shipped).with_suffix('').as_posix()
        for p in shipped.rglob('*.yaml')
    )
    raise FileNotFoundError(
        f"Expected a config file or one of {', '.join(names)}, got '{name}'."
    )


def resolve_configs(args: Sequence[str]) -> list[str]:
    """Replace the names of the package's configs in a command line by their paths.

    Args:
        args: Command line without the program.

    Returns:
        The same command line, each ``--config NAME`` as ``--config PATH``.

    Raises:
        FileNotFoundError: If a config is not found.
    """
    resolved, expects_config = [], False
    for arg in args:
        flag, equals, value = arg.partition('=')
        if expects_config:
            resolved.append(find_config(arg))
        elif equals and flag in _CONFIG_FLAGS:
            resolved.append(f'{flag}={find_config(value)}')
        else:
            resolved.append(arg)
        expects_config = arg in _CONFIG_FLAGS
    return resolved


def read_statements(args: Sequence[str]) -> list[Statement]:
    """List what a command line says, in order: what comes later counts.

    Args:
        args: Command line without the program, after :func:`resolve_configs`.

    Returns:
        A statement for each flag, and for each value in each config file.
    """
    statements: list[Statement] = []
    for flag, value in _pairs(args):
        if flag in _CONFIG_FLAGS:
            content = yaml.safe_load(Path(value).read_text(encoding='utf-8'))
            statements.extend(_flatten(content or {}, f'config {value}'))
        else:
            plain = yaml.safe_load(value)
            content = {flag.removeprefix('--').rstrip('+'): plain}
            statements.extend(_flatten(content, f'flag {flag}'))
    return statements


def find_statement(statements: Sequence[Statement], name: str) -> Statement | None:
    """Find what counts of all that is said of one setting.

    Args:
        statements: From :func:`read_statements`.
        name: Dotted name without ``init_args``.

    Returns:
        The last statement, or None if there is none.
    """
    return next((s for s in reversed(statements) if s.name == name), None)


def _pairs(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield flags with their values, in either spelling."""
    position = 0
    while position < len(args):
        flag, equals, value = args[position].partition('=')
        position += 1
        if not flag.startswith('-'):
            continue
        if equals:
            yield flag, value
        elif position < len(args) and not args[position].startswith('--'):
            yield flag, args[position]
            position += 1


def _flatten(content: Any, where: str, prefix: str = '') -> Iterator[Statement]:
    """Yield each value of nested mappings under its dotted name."""
    if not isinstance(content, Mapping):
        yield Statement(prefix, content, where)
        return
    for key, value in content.items():
        parts = [part for part in str(key).split('.') if part not in _LEVELS]
        yield from _flatten(
            value, where, '.'.join([prefix, *parts] if prefix else parts)
        )

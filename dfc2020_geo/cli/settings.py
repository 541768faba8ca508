"""Where a setting stands: which flag or config file of a command line says what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

_CONFIG_FLAGS = ('--config', '-c')

#: Groups whose settings may stand in a file of their own.
_GROUPS = ('data', 'model', 'trainer', 'class_maps', 'previews', 'scene_maps', 'scores')

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
    package = Path(str(files('dfc2020_geo')))
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
    """Bring the configs of a command line to its front, with their paths.

    The parser takes settings in their order, so that a flag before a config would be
    lost.

    Args:
        args: Command line without the program, its verb first.

    Returns:
        The verb, each config as ``--config=PATH``, then the rest in its order.

    Raises:
        FileNotFoundError: If a config is not found.
    """
    configs, rest, expects_config = [], [], False
    for arg in args[1:]:
        flag, equals, value = arg.partition('=')
        if expects_config:
            configs.append(f'--config={find_config(arg)}')
        elif equals and flag in _CONFIG_FLAGS:
            configs.append(f'--config={find_config(value)}')
        elif arg not in _CONFIG_FLAGS:
            rest.append(arg)
        expects_config = arg in _CONFIG_FLAGS
    return [*args[:1], *configs, *rest]


def read_statements(args: Sequence[str]) -> list[Statement]:
    """List what a command line says, in order: what comes later counts.

    Args:
        args: Command line without the program, after :func:`resolve_configs`.

    Returns:
        A statement for each flag, and for each value in each config file.

    Raises:
        TypeError: If a config file holds no settings under names.
        ValueError: If it is no YAML.
    """
    statements: list[Statement] = []
    for flag, value in _pairs(args):
        if flag in _CONFIG_FLAGS:
            statements.extend(_read_file(value))
        else:
            content = {flag.removeprefix('--').rstrip('+'): _plain(value)}
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


def _plain(text: str) -> Any:
    """Read a flag's value as YAML, or as the text that it is: paths may hold anything."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return text if isinstance(value, Mapping) and not text.startswith('{') else value


def _read_file(path: str, prefix: str = '') -> Iterator[Statement]:
    """Yield what a config file says, or a file with the settings of one group."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f'Expected a YAML file, got {path} ({reason}).') from error
    if not isinstance(content, Mapping):
        raise TypeError(
            f'Expected a YAML file of settings under their names, got {path} with '
            f'{type(content).__name__}.'
        )
    yield from _flatten(content, f'config {path}', prefix)


def _flatten(content: Any, where: str, prefix: str = '') -> Iterator[Statement]:
    """Yield each value of nested mappings under its dotted name."""
    if not isinstance(content, Mapping):
        is_file = isinstance(content, str) and content.endswith(('.yaml', '.yml'))
        if is_file and prefix in _GROUPS and Path(content).is_file():
            yield from _read_file(content, prefix)
        else:
            yield Statement(prefix, content, where)
        return
    for key, value in content.items():
        parts = [part for part in str(key).split('.') if part not in _LEVELS]
        yield from _flatten(
            value, where, '.'.join([prefix, *parts] if prefix else parts)
        )

"""Origin and precedence of settings: which flag or config file sets what.

Flags count before configs, configs before a checkpoint, a checkpoint before defaults.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from .usage import UsageError

_CONFIG_FLAGS = ('--config', '-c')

#: The flag of the checkpoint: ours, and Lightning's.
_CKPT_FLAGS = ('--ckpt', '--ckpt_path')

#: Flags whose values are files to read.
_FILE_FLAGS = (*_CKPT_FLAGS, '--checkpoint_file', '--config_file')

#: Verbs whose configs may name a checkpoint.
_STAGES = ('fit', 'validate', 'test', 'predict')

#: Values of ckpt_path by which Lightning looks for a checkpoint to resume.
LIGHTNINGS_CHOICES = (None, 'last', 'best', 'hpc', 'registry')

#: Groups whose settings may stand in a file of their own.
_GROUPS = ('data', 'model', 'trainer', 'class_maps', 'previews', 'scene_maps', 'scores')

#: Levels between a class and its arguments that flags may leave out.
_LEVELS = ('init_args', 'dict_kwargs')

#: The form of the configs that a run saves, which their first lines name.
CONFIG_FORMAT = 1
CONFIG_HEADER = 'dfc2020-geo config, format'

#: Most bytes of a config file.
_MAX_BYTES = 10_000_000

#: Most values that a YAML file may hold once its aliases are written out.
_MAX_VALUES = 100_000

#: Public paths of classes in files written before configs had a format, and today's.
RENAMED_CLASSES = {
    'dfc2020_geo.callbacks.SceneMapWriter': 'dfc2020_geo.inference.SceneMapWriter',
    'dfc2020_geo.callbacks.SceneProgress': 'dfc2020_geo.inference.SceneProgress',
    'dfc2020_geo.scene_data.SceneDataModule': 'dfc2020_geo.inference.SceneDataModule',
    'dfc2020_geo.scene_training.SceneTrainingDataModule': (
        'dfc2020_geo.datamodules.SceneTrainingDataModule'
    ),
}
_RENAMED = re.compile(rf'(?<![\w.])({"|".join(map(re.escape, RENAMED_CLASSES))})(?!\w)')


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that somebody wrote down.

    Attributes:
        name: Dotted name without ``init_args``, for example ``'data.bands'``.
        value: What it is set to, a plain value.
        origin: The flag or the config file that sets it.
    """

    name: str
    value: Any
    origin: str


def configs_dir() -> Path:
    """Return the directory of the configs that come with the package.

    They are part of an installed wheel; in a clone they lie at its root.

    Returns:
        The directory.
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
        The verb, each config as ``--config=PATH``, then the rest in its order, with
        ``--ckpt_path`` for ``--ckpt`` and today's names of classes.

    Raises:
        FileNotFoundError: If a config is not found.
        UsageError: If a config has no value, or both flags of the checkpoint are there.
    """
    configs, rest, expects_config = [], [], False
    for arg in args[1:]:
        flag, equals, value = arg.partition('=')
        if expects_config:
            configs.append(f'--config={find_config(arg)}')
        elif equals and flag in _CONFIG_FLAGS:
            configs.append(f'--config={find_config(value)}')
        elif arg not in _CONFIG_FLAGS:
            rest.append(_rename(arg))
        expects_config = arg in _CONFIG_FLAGS
    if expects_config:
        raise UsageError('Expected a file or a name after --config, got nothing.')
    ours, lightnings = _CKPT_FLAGS
    used = {flag for arg in rest if (flag := arg.partition('=')[0]) in _CKPT_FLAGS}
    if len(used) > 1:
        raise UsageError(f'Expected {ours} or {lightnings}, the same flag, got both.')
    rest = [re.sub(rf'^{ours}(?==|$)', lightnings, arg) for arg in rest]
    return [*args[:1], *configs, *_join_values(rest)]


def _join_values(args: Sequence[str]) -> list[str]:
    """Join flags with values that begin with a hyphen, which argparse takes for flags."""
    joined: list[str] = []
    for arg in args:
        # Parsers know numbers themselves.
        is_value = re.fullmatch(r'-(?!-|h$|\d+$|\d*\.\d+$).+', arg, re.DOTALL)
        if is_value and joined and re.fullmatch('--[^=]+', joined[-1]):
            joined[-1] += f'={arg}'
        else:
            joined.append(arg)
    return joined


def take_flag(args: Sequence[str], flag: str) -> tuple[list[str], list[str]]:
    """Take a flag that may be repeated out of a command line.

    Args:
        args: Command line.
        flag: The flag, with its hyphens.

    Returns:
        The rest of the command line, and the values.

    Raises:
        UsageError: If a value is missing.
    """
    rest, values = [], []
    remaining = iter(args)
    for arg in remaining:
        name, equals, value = arg.partition('=')
        if name != flag:
            rest.append(arg)
            continue
        value = value if equals else next(remaining, '')
        if not value or value.startswith('--'):
            raise UsageError(f'Expected a value after {flag}, got none.')
        values.append(value)
    return rest, values


def write_renamed(args: Sequence[str]) -> list[str]:
    """Replace configs that have earlier names of classes by their text with today's.

    Args:
        args: Command line, after :func:`resolve_configs`.

    Returns:
        The same command line; each other config stays a path.
    """
    return [
        f'--config={_read_text(path)}'
        if (path := arg.removeprefix('--config=')) != arg and _has_old_names(path)
        else arg
        for arg in args
    ]


def read_settings(args: Sequence[str]) -> list[Setting]:
    """List what a command line sets, in order: what comes later counts.

    Args:
        args: Command line without the program, after :func:`resolve_configs`.

    Returns:
        A setting for each flag, and for each value in each config file.

    Raises:
        TypeError: If a config file holds no settings under names.
        ValueError: If it is no YAML, too large, or written by a later version.
    """
    settings: list[Setting] = []
    for flag, value in _pairs(args):
        if flag in _CONFIG_FLAGS:
            settings.extend(_read_file(value))
        else:
            content = {flag.removeprefix('--').rstrip('+'): _plain(value)}
            settings.extend(_flatten(content, f'flag {flag}'))
    return settings


def find_setting(settings: Sequence[Setting], name: str) -> Setting | None:
    """Find what counts of all that sets one name.

    Args:
        settings: From :func:`read_settings`.
        name: Dotted name without ``init_args``.

    Returns:
        The last setting of the name, or None if there is none.
    """
    return next((s for s in reversed(settings) if s.name == name), None)


def require_checkpoints(args: Sequence[str]) -> None:
    """Refuse a command line whose checkpoints are not there, before all else.

    Args:
        args: Command line without the program, its verb first.

    Raises:
        FileNotFoundError: If a checkpoint that a flag or a config names does not exist.
    """
    flag = ''
    for arg in args[1:]:
        if arg.startswith('-'):
            flag, _, value = arg.partition('=')
        else:
            value = arg
        if flag in _FILE_FLAGS:
            _require_checkpoint(value)
    if args[0] in _STAGES:
        said = find_setting(read_settings(resolve_configs(args)), 'ckpt_path')
        _require_checkpoint(said.value if said else None)


def _require_checkpoint(path: Any) -> None:
    is_path = isinstance(path, str) and path and '://' not in path
    is_choice = path in (*LIGHTNINGS_CHOICES, 'null')
    if is_path and not is_choice and not Path(path).exists():
        raise FileNotFoundError(f'Expected a checkpoint, got no file at {path}.')


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
        value = _load(text) if text else text
    except yaml.YAMLError:
        return text
    return text if isinstance(value, Mapping) and not text.startswith('{') else value


def require_bounded(text: str) -> None:
    """Refuse YAML whose aliases make it larger than any config is.

    Args:
        text: The YAML.

    Raises:
        UsageError: If it is larger with its aliases written out.
        yaml.YAMLError: If it is none.
    """
    if '*' in text and '&' in text:
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None and _count(root, {}) > _MAX_VALUES:
            raise UsageError(
                f'Expected YAML of at most {_MAX_VALUES} values, got more.'
            )


def _load(text: str) -> Any:
    require_bounded(text)
    return yaml.safe_load(text)


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values of a node with its aliases written out; endless is too many."""
    if id(node) not in known:
        known[id(node)] = _MAX_VALUES + 1  # what holds itself has no end
        parts = [] if isinstance(node, yaml.ScalarNode) else node.value
        pairs = isinstance(node, yaml.MappingNode)
        parts = [part for pair in parts for part in pair] if pairs else parts
        known[id(node)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(node)]


def _read_text(path: str) -> str:
    """Read a config file, with today's names of classes."""
    if (size := Path(path).stat().st_size) > _MAX_BYTES:
        raise UsageError(f'Expected at most {_MAX_BYTES} bytes, got {size}.')
    return _rename(Path(path).read_text(encoding='utf-8'))


def _rename(text: str) -> str:
    return _RENAMED.sub(lambda found: RENAMED_CLASSES[found[0]], text)


def _has_old_names(path: str) -> bool:
    return bool(_RENAMED.search(Path(path).read_text(encoding='utf-8')))


def _read_file(path: str, prefix: str = '') -> Iterator[Setting]:
    """Yield what a config file sets, or a file with the settings of one group."""
    try:
        text = _read_text(path)
        _check_format(text, path)
        content = _load(text)
    except (yaml.YAMLError, RecursionError, UnicodeError, UsageError) as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f'Expected a YAML file, got {path} ({reason}).') from error
    if not isinstance(content, Mapping):
        raise TypeError(
            f'Expected a YAML file of settings under their names, got {path} with '
            f'{type(content).__name__}.'
        )
    yield from _flatten(content, f'config {path}', prefix)


def _check_format(text: str, path: str) -> None:
    found = re.search(rf'^# {CONFIG_HEADER} (\d+)$', text, re.MULTILINE)
    if found and int(found[1]) > CONFIG_FORMAT:
        raise ValueError(
            f'Expected a config of format {CONFIG_FORMAT} or before, got {found[1]} in '
            f'{path}; install the version of dfc2020-geo that wrote it.'
        )


def _flatten(content: Any, origin: str, prefix: str = '') -> Iterator[Setting]:
    """Yield each value of nested mappings under its dotted name."""
    if not isinstance(content, Mapping):
        is_file = isinstance(content, str) and content.endswith(('.yaml', '.yml'))
        if is_file and prefix in _GROUPS and Path(content).is_file():
            yield from _read_file(content, prefix)
        else:
            yield Setting(prefix, content, origin)
        return
    for key, value in content.items():
        parts = [part for part in str(key).split('.') if part not in _LEVELS]
        yield from _flatten(
            value, origin, '.'.join([prefix, *parts] if prefix else parts)
        )

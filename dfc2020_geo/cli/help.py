"""Help texts of settings, from docstrings and types."""

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import docstring_parser


def shorten(message: str) -> str:
    """Bring the parser's account of a wrong setting into one line.

    Args:
        message: Account of several lines.

    Returns:
        What was wrong, without the types that were tried and the whole value.
    """
    lines = [line.strip().removeprefix('- ') for line in message.splitlines()]
    if 'Errors:' in lines:
        told = lines[lines.index('Errors:') + 1 :]
        end = next((i for i, s in enumerate(told) if s.startswith('Given val')), None)
        lines = [lines[0], *(s for s in told[:end] if 'NoneType' not in s)]
    return ' '.join(line for line in lines if line)


def suggest(names: Iterable[str], groups: Mapping[str, type]) -> str:
    """Ask whether a setting that is not there was meant to be one that is.

    Args:
        names: Dotted names of settings, for example ``'data.batchsize'``.
        groups: The class that has the settings of each group.

    Returns:
        The question, or nothing if there is none like it.
    """
    for name in names:
        group, _, last = name.partition('.')
        known = inspect.signature(groups[group]).parameters if group in groups else ()
        if last not in known and (similar := get_close_matches(last, known, 1)):
            return f'; did you mean --{group}.{similar[0]}?'
    return ''


def describe_settings(data: type, model: type) -> str:
    """List the settings of datamodule and task, which the parser's help leaves out.

    Args:
        data: Class of the datamodule.
        model: Class of the task.

    Returns:
        A line for each argument with its default and what it is.
    """
    groups = {'data': data, 'model': model}
    lines = [line for item in groups.items() for line in _describe(*item)]
    return '\n'.join(['', 'settings of data and model:', *lines])


def _describe(group: str, cls: type) -> list[str]:
    constructor: Any = cls.__init__
    documented = docstring_parser.parse(constructor.__doc__ or '').params
    meaning = {p.arg_name: ' '.join((p.description or '').split()) for p in documented}
    return [
        f'  --{group}.{name} (default: {parameter.default})\n      {meaning[name]}'
        for name, parameter in inspect.signature(cls).parameters.items()
    ]

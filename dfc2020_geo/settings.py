"""What the parser has to say of settings, in a form for people."""

import inspect
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

"""The command ``dfc2020-geo``: a table of verbs, each of which loads its program."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence

from . import __version__


def _run_stage(args: list[str]) -> None:
    from .stages import LandCoverCLI

    LandCoverCLI(args)


def _run_demo(args: list[str]) -> None:
    from .demo import main

    main(args)


#: What each verb does, and its program, which takes the command line after the name.
VERBS: dict[str, tuple[str, Callable[[list[str]], None]]] = {
    'demo': ('make demo data, train, score and predict on them', _run_demo),
    'fit': ('train a network', _run_stage),
    'validate': ('score a checkpoint on the validation set', _run_stage),
    'test': ('score a checkpoint on the test set', _run_stage),
    'predict': ('write the class maps of a directory', _run_stage),
}

_EXAMPLES = """\
Each verb has its own --help. Examples:
  dfc2020-geo demo
  dfc2020-geo fit --config unet_s1s2
  dfc2020-geo test --ckpt_path model.ckpt --data.dfc2020_root data/dfc2020
  dfc2020-geo predict --ckpt_path model.ckpt --data.unlabeled_root data/unlabeled
"""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    What a user can mend ends in one line on the standard error and exit code 1 (2 for
    a command line that cannot be parsed); a defect of the program keeps its traceback.

    Args:
        args: Command line without the program; by default the program's own.
    """
    args = list(sys.argv[1:] if args is None else args)
    verb = args[0] if args else '--help'
    if verb in ('-h', '--help'):
        print(_help())
    elif verb == '--version':
        print(f'dfc2020-geo {__version__}')
    elif verb in VERBS:
        _, run = VERBS[verb]
        _run_plainly(run, args)
    else:
        _stop(f"Expected a verb of {', '.join(VERBS)}, got '{verb}'.", 2)


def _help() -> str:
    verbs = '\n'.join(f'  {verb:10}{text}' for verb, (text, _) in VERBS.items())
    return f'usage: dfc2020-geo VERB [options]\n\n{verbs}\n\n{_EXAMPLES}'


def _run_plainly(run: Callable[[list[str]], None], args: list[str]) -> None:
    try:
        run(args)
    except argparse.ArgumentError as error:
        _stop(_shorten(str(error)), 2)
    except Exception as error:
        message = _message_for_user(error)
        if message is None:
            raise
        _stop(message, 1)


def _message_for_user(error: BaseException | None) -> str | None:
    """Return the message of an error that this package raised for its user.

    Libraries wrap such errors: those of a worker process arrive as text, with the
    worker's traceback inside.
    """
    package = __file__.removesuffix('cli.py')
    while error is not None:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raised_in = [line for line in lines if line.lstrip().startswith('File "')]
        if raised_in and raised_in[-1].split('"')[1].startswith(package):
            return lines[-1].partition(': ')[2]
        frames = traceback.extract_tb(error.__traceback__)
        if frames and frames[-1].filename.startswith(package):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def _shorten(message: str) -> str:
    """Bring the parser's account of a wrong setting into one line."""
    lines = [line.strip().removeprefix('- ') for line in message.splitlines()]
    if 'Errors:' in lines:
        told = lines[lines.index('Errors:') + 1 :]
        end = next((i for i, s in enumerate(told) if s.startswith('Given val')), None)
        lines = [lines[0], *(s for s in told[:end] if 'NoneType' not in s)]
    return ' '.join(line for line in lines if line)


def _stop(message: str, code: int) -> None:
    print(f'dfc2020-geo: error: {message}', file=sys.stderr)
    raise SystemExit(code)

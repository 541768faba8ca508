"""The command ``dfc2020-geo``: a table of verbs, each of which loads its program."""

import io
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import Any

from . import __version__

#: What each verb does, and its program, which takes the command line after the name.
#: Each loads when it runs, so that a help text or a wrong flag waits for no torch.
VERBS = {
    'demo': ('make demo data, train, score and predict on them', 'cli.demo:main'),
    'fit': ('train a network', 'cli.stages:LandCoverCLI'),
    'validate': ('score a checkpoint on the validation set', 'cli.stages:LandCoverCLI'),
    'test': ('score a checkpoint on the test set', 'cli.stages:LandCoverCLI'),
    'predict': ('write the class maps of a directory', 'cli.stages:LandCoverCLI'),
    'map': ('map a whole scene', 'cli.map:main'),
    'check': ('look data over, before a run does', 'cli.check:run_check'),
    'pack': (
        'put a data set into a few files that are read faster',
        'cli.pack:run_pack',
    ),
    'import-baseline': (
        'take over a checkpoint of the 2020 baseline',
        'baseline.commands:run_import',
    ),
    'export-baseline': (
        'write a checkpoint for the 2020 baseline',
        'baseline.commands:run_export',
    ),
}

#: Exit status after Ctrl-C, as shells have it: 128 and the number of the signal.
_INTERRUPTED = 130

#: Exit status after SIGTERM.
_TERMINATED = 143

_EXAMPLES = """\
Each verb has its own --help. Examples:
  dfc2020-geo demo
  dfc2020-geo check data/sen12ms data/dfc2020
  dfc2020-geo fit --config unet_s1s2
  dfc2020-geo test --ckpt model.ckpt --data.dfc2020_root data/dfc2020
  dfc2020-geo predict --ckpt model.ckpt --data.unlabeled_root data/unlabeled
  dfc2020-geo map --ckpt model.ckpt --s2 scene_s2.tif --s1 scene_s1.tif --out map.tif
"""


class _Output(io.TextIOWrapper):
    """The standard output or error, which no work fails for.

    What its encoding lacks is written as an escape; what its reader does not wait for,
    as ``| head``, goes nowhere.
    """

    @classmethod
    def take_over(cls, stream: Any) -> Any:
        """Put it in place of one of the program's own streams.

        Args:
            stream: ``sys.stdout`` or ``sys.stderr``.

        Returns:
            The stream, or what others have put in its place.
        """
        if stream not in (sys.__stdout__, sys.__stderr__) or stream is None:
            return stream
        return cls(
            stream.buffer,
            encoding=stream.encoding,
            errors='backslashreplace',
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    def write(self, text: str) -> int:
        """Write a text.

        Args:
            text: The text.

        Returns:
            Its length.
        """
        try:
            return super().write(text)
        except BrokenPipeError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        try:
            super().flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    What a user can mend ends in one line on the standard error and exit status 1, or 2
    for a command line that is not understood, 130 for an interrupt or 143 for SIGTERM; a
    defect of the program keeps its traceback.

    Args:
        args: Command line without the program; by default the program's own.
    """
    if args is None:
        args = sys.argv[1:]
        sys.stdout, sys.stderr = map(_Output.take_over, (sys.stdout, sys.stderr))
    args = list(args)
    for arg in args:
        if any('\ud800' <= character <= '\udfff' for character in arg):
            _stop(f'Expected text in UTF-8, got {arg!a}; rename this file.', 2)
    verb = args[0] if args else '--help'
    if verb in ('-h', '--help'):
        print(_help())
    elif verb == '--version':
        print(f'dfc2020-geo {__version__}')
    elif verb in VERBS:
        run_plainly(_run, args)
    else:
        _stop(f"Expected a verb of {', '.join(VERBS)}, got '{verb}'.", 2)


def _run(args: list[str]) -> None:
    from .cli.settings import require_checkpoints

    require_checkpoints(args)
    if args[0] == 'demo':
        # Threads that spin while they wait starve each other on a machine that is
        # busy. OpenMP reads this when torch is loaded.
        os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    _, program = VERBS[args[0]]
    resolve_name(f'{__package__}.{program}')(args)


def _help() -> str:
    verbs = '\n'.join(f'  {verb:17}{text}' for verb, (text, _) in VERBS.items())
    return f'usage: dfc2020-geo VERB [options]\n\n{verbs}\n\n{_EXAMPLES}'


def run_plainly(
    run: Callable[[list[str]], object], args: list[str], program: str = 'dfc2020-geo'
) -> None:
    """Run a program; what a user can mend ends in one line and an exit status.

    Args:
        run: Takes the command line.
        args: The command line.
        program: What the line begins with.

    Raises:
        SystemExit: With status 1 after a failure, 2 for a command line that is not
            understood, 130 after an interrupt, 143 after SIGTERM.
    """
    threading.excepthook = partial(_tell_of_thread, program)
    try:
        run(args)
    except KeyboardInterrupt:
        _stop('interrupted', _INTERRUPTED, program)
    except SystemExit as stop:
        if type(stop).__name__ == 'SIGTERMException':
            _stop('ended by SIGTERM', _TERMINATED, program)
        # Lightning ends a training that was interrupted with status 1.
        if isinstance(stop.__context__, KeyboardInterrupt):
            _stop('interrupted', _INTERRUPTED, program)
        raise
    except Exception as error:
        from .cli.usage import UsageError

        message = _message_for_user(error)
        if message is None:
            raise
        _stop(message, 2 if isinstance(error, UsageError) else 1, program)


def _tell_of_thread(program: str, args: threading.ExceptHookArgs) -> None:
    """Tell what ends a thread, such as a logger's on a full disk, in one line."""
    if (message := _message_for_user(args.exc_value)) is None:
        threading.__excepthook__(args)
    else:
        print(f'{program}: a thread has ended: {message}', file=sys.stderr)


def _message_for_user(error: BaseException | None) -> str | None:
    """Return the message of an error that its user can mend.

    That is one that this package raised for its user, and one of the system: what it
    says of a file, or that memory is short. Libraries wrap such errors with their
    cause; those of a worker process arrive as text, with the worker's traceback inside.
    What happened to be handled meanwhile, the context, is another error. What Python
    itself raised in this package is a defect.
    """
    while error is not None:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        files = [i for i, line in enumerate(lines) if line.startswith('File "')]
        if files and _is_for_user(lines[files[-1]].split('"')[1], lines[files[-1] + 1]):
            return lines[-1].partition(': ')[2]
        frames = traceback.extract_tb(error.__traceback__)
        expected = isinstance(error, (ValueError, TypeError, OSError, RuntimeError))
        if (
            expected
            and frames
            and _is_for_user(frames[-1].filename, frames[-1].line or '')
        ):
            return str(error)
        if message := _message_of_system(error):
            return message
        error = error.__cause__
    return None


def _message_of_system(error: BaseException) -> str | None:
    """Return what an error of the system or of its memory means for a user."""
    text = ' '.join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None:
        places = [str(name) for name in (error.filename, error.filename2) if name]
        place = ' and '.join(places) or 'a file, most likely in the temporary folder'
        return (
            f'Expected to read or write {place}, got {error.strerror}; check the disk '
            'and the rights there, and run the same command again.'
        )
    short = ("can't allocate memory", 'not enough memory', 'out of memory')
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(t in text.lower() for t in short)
    ):
        return (
            f'Expected a run that fits into memory, got {text or "no more memory"}; '
            'lower --data.batch_size, --data.num_workers or the size of the network.'
        )
    return None


def _is_for_user(file: str, line: str) -> bool:
    package = __file__.removesuffix('main.py')
    return file.startswith(package) and line.startswith('raise ')


def _stop(message: str, status: int, program: str = 'dfc2020-geo') -> None:
    if {*'?&@%'} & {*message}:  # as signed addresses have them
        from .io.addresses import hide_secrets

        message = hide_secrets(message)
    print(f'{program}: error: {message}', file=sys.stderr)
    raise SystemExit(status)

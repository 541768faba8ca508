"""Files that have their names only when they are whole and on the disk.

Every output of this package is written here. What fails on a full disk fails before
the file gets its name: bytes are written by Python, which hears of each write, and
synced. What another library writes into the place that :func:`replacing` gives must be
checked before, since GDAL loses what fails when a file is closed.
"""

import errno
import json
import os
import tempfile
from collections.abc import Buffer, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: What the name of a file ends in while it is written.
UNFINISHED = '.part'

#: What systems say of a full disk: no space, a quota, a limit on the size of files.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: Path | str) -> Generator[Path]:
    """Write a file beside its place and move it there at the end.

    Args:
        path: Where the file shall be; an older one is replaced.

    Yields:
        Where to write it. If writing fails, nothing remains of it; if the process is
        killed, a file does that no program takes for a finished one.

    Raises:
        OSError: If it cannot be written; of a full disk the message says what to do.
    """
    unfinished = Path(f'{path}{UNFINISHED}')
    try:
        with require_space(path):
            yield unfinished
            _sync(unfinished)
            os.replace(unfinished, path)
        _sync_directory(unfinished.parent)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def require_space(path: Path | str) -> Generator[None]:
    """Say in plain words that a disk is full.

    Args:
        path: What is written meanwhile, for the message.

    Returns:
        A context manager.

    Raises:
        OSError: If there is no room for it, of the same number.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        full = OSError(
            f'No free space to write {path} ({error.strerror}); make room there and '
            'run the same command again.'
        )
        full.errno = error.errno
        raise full from error


def _sync(path: Path) -> None:
    """Wait until a file is on the disk, which may have no room for it after all."""
    with open(path, 'r+b') as file:
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """Wait until names of files are on the disk, where systems have directories open."""
    if os.name != 'nt':
        with suppress(OSError):  # not every file system can
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def write_bytes(path: Path | str, content: Buffer) -> None:
    """Write a file, complete or not at all.

    Args:
        path: Where the file shall be; an older one is replaced.
        content: Its content.

    Raises:
        OSError: If it cannot be written; of a full disk the message says what to do.
    """
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file, complete or not at all.

    Args:
        path: Where the file shall be; an older one is replaced.
        text: Its content.

    Raises:
        OSError: If it cannot be written; of a full disk the message says what to do.
    """
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write a JSON file, complete or not at all.

    Args:
        path: Where the file shall be; an older one is replaced.
        value: Plain values; None becomes null.

    Raises:
        OSError: If it cannot be written; of a full disk the message says what to do.
        ValueError: If *value* holds a number that JSON does not have.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + '\n')


def make_directory(path: Path | str) -> Path:
    """Make a directory and make sure that it can be written to.

    Args:
        path: The directory; it may exist.

    Returns:
        The directory.

    Raises:
        OSError: If it cannot be made or written to; the message says why.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return Path(path)
    except OSError as error:
        raise OSError(
            f'Expected a directory that can be written to, got {path} '
            f'({error.strerror}); choose another output_dir.'
        ) from error

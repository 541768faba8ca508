"""Files that appear under their names only when they are complete."""

import json
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: What the name of a file ends in while it is written.
UNFINISHED = '.part'


@contextmanager
def replacing(path: Path | str) -> Generator[Path]:
    """Write a file beside its place and move it there at the end.

    Args:
        path: Where the file shall be; an older one is replaced.

    Yields:
        Where to write it. If writing fails, nothing remains of it; if the process is
        killed, a file does that no program takes for a finished one.
    """
    unfinished = Path(f'{path}{UNFINISHED}')
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file, complete or not at all.

    Args:
        path: Where the file shall be; an older one is replaced.
        text: Its content.
    """
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding='utf-8')


def write_json(path: Path | str, value: Any) -> None:
    """Write a JSON file, complete or not at all.

    Args:
        path: Where the file shall be; an older one is replaced.
        value: Plain values; None becomes null.

    Raises:
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

"""Finished rows of a map as files that say whether they are whole."""

import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...io.atomic import UNFINISHED

#: Rows of a map: the first one, and the one after the last.
Rows = tuple[int, int]

_NAME = re.compile(r'rows_(\d{7,})-(\d{7,})\.npz')

#: Member that holds whose rows they are and which.
_LABEL = 'label'


def chunk_name(rows: Rows) -> str:
    """Return the name of the file of some rows."""
    start, stop = rows
    return f'rows_{start:07d}-{stop:07d}.npz'


def find_chunks(directory: Path) -> dict[Rows, Path]:
    """Find what has the name of a file of rows, in their order."""
    found = {
        (int(match[1]), int(match[2])): path
        for path in directory.iterdir()
        if (match := _NAME.fullmatch(path.name))
    }
    return dict(sorted(found.items()))


def write_chunk(
    directory: Path, rows: Rows, layers: Mapping[str, np.ndarray], record: Any
) -> None:
    """Write some rows, complete or not at all.

    Any number of processes can write into one directory.

    Args:
        directory: Where the file goes.
        rows: Which rows they are.
        layers: Arrays by the name of their layer.
        record: Plain values, whose the rows are.
    """
    name = chunk_name(rows)
    handle, unfinished = tempfile.mkstemp(UNFINISHED, name, directory)
    try:
        with os.fdopen(handle, 'wb') as file:
            np.savez(
                file, allow_pickle=False, **{_LABEL: _label(rows, record)}, **layers
            )
        os.replace(unfinished, directory / name)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def is_whole(
    path: Path, rows: Rows, shapes: Mapping[str, tuple[int, ...]], record: Any
) -> bool:
    """Tell whether a file holds what :func:`write_chunk` wrote.

    Args:
        path: The file.
        rows: Which rows it must hold.
        shapes: Shape of each layer's array, uint8.
        record: Whose rows it must hold.

    Returns:
        False if it is cut off, damaged, another run's or something else.
    """
    expected = {name: (shape, np.dtype(np.uint8)) for name, shape in shapes.items()}
    label = _label(rows, record)
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
            headers = {Path(n).stem: _header(archive, n) for n in archive.namelist()}
        if headers != expected | {_LABEL: (label.shape, label.dtype)}:
            return False
        return np.array_equal(read_chunk(path, _LABEL), label)
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile):
        return False


def read_chunk(path: Path, name: str) -> np.ndarray:
    """Read the array of one layer."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[name]


def _label(rows: Rows, record: Any) -> np.ndarray:
    text = json.dumps([*rows, record], sort_keys=True)
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.uint8)


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(name) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f'Expected version 1 of the format in {name}.')
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype

"""Beginning a map, going on with it or taking part in it: whose the rows are."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...classes import ClassScheme
from ...io.atomic import UNFINISHED, write_json
from ...io.grid import RasterGrid
from .file_names import check_output, find_outputs
from .footprint import footprint
from .layers import CLASSES, find_layer
from .row_files import find_chunks
from .rows import RECORD_NAME, Parts, explain

#: Differing settings that a message tells; bands can be files of their own.
_MOST = 4


def open_parts(
    output: Path | str,
    grid: RasterGrid,
    scheme: ClassScheme,
    layers: Sequence[str],
    settings: dict[str, Any],
    overwrite: bool = False,
) -> Parts:
    """Begin a map, or go on with it if it was interrupted.

    One process calls it, before others call :func:`join_parts`: it removes what a
    killed run left half-written.

    Args:
        output: Where the map shall be, a ``.tif``.
        grid: Its pixels.
        scheme: Its classes.
        layers: Names of the layers beside the classes.
        settings: Plain values that decide its content.
        overwrite: Whether a map that is there, or the rows of other settings, may go.

    Returns:
        The rows of the map.

    Raises:
        FileExistsError: If the map is there, or rows of other settings are; the message
            says which settings differ.
        OSError: If it cannot be written there; the message says what to do.
        ValueError: If *output* cannot be a map's name, or the grid does not lie on the
            Earth.
    """
    parts = _plan(output, grid, scheme, layers, settings)
    footprint(grid)
    found = _read_record(parts.directory)
    if found == parts.record:
        _clean(parts.directory)
        return parts
    if found is not None and not overwrite:
        raise FileExistsError(
            f'Expected the rows of the same settings, got those of a run with other '
            f'{_differences(found, parts.record)} in {parts.directory}; go on with its '
            'settings, set overwrite or choose another output.'
        )
    _begin(parts, overwrite)
    return parts


def join_parts(
    output: Path | str,
    grid: RasterGrid,
    scheme: ClassScheme,
    layers: Sequence[str],
    settings: dict[str, Any],
) -> Parts:
    """Take part in a map that another process has opened.

    Args:
        output: Where the map shall be.
        grid: Its pixels.
        scheme: Its classes.
        layers: Names of the layers beside the classes.
        settings: Plain values that decide its content.

    Returns:
        The rows of the map.

    Raises:
        RuntimeError: If no process has opened it with the same settings.
    """
    parts = _plan(output, grid, scheme, layers, settings)
    found = _read_record(parts.directory)
    if found != parts.record:
        other = 'none' if found is None else _differences(found, parts.record)
        raise RuntimeError(
            f'Expected the first process to have begun {parts.directory} with the same '
            f'settings, got {other}.'
        )
    return parts


def _plan(
    output: Path | str,
    grid: RasterGrid,
    scheme: ClassScheme,
    layers: Sequence[str],
    settings: dict[str, Any],
) -> Parts:
    names = dict.fromkeys([CLASSES, *layers])
    found = tuple(find_layer(name, scheme) for name in names)
    settings = settings | {'scheme': scheme.name}
    return Parts(check_output(output), grid, scheme, found, settings)


def _begin(parts: Parts, overwrite: bool) -> None:
    """Make the work directory, in place of all that is there."""
    outputs = find_outputs(parts.output)
    if outputs and not overwrite:
        raise FileExistsError(
            f'Expected no map yet, got {", ".join(map(str, outputs))}; set overwrite or '
            'choose another output.'
        )
    try:
        for path in outputs:
            path.unlink()
        if parts.directory.exists():
            parts.remove()
        parts.directory.mkdir(parents=True)
        write_json(parts.directory / RECORD_NAME, parts.record)
    except OSError as error:
        raise explain(error, parts.directory) from error


def _clean(directory: Path) -> None:
    """Remove what a killed run left, all but the rows and the record."""
    kept = {directory / RECORD_NAME, *find_chunks(directory).values()}
    for path in set(directory.iterdir()) - kept:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _read_record(directory: Path) -> dict[str, Any] | None:
    """Read whose the rows are; None if there is nothing yet.

    Raises:
        FileExistsError: If something else is in the directory's place.
    """
    path = directory / RECORD_NAME
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
        if isinstance(record, dict):
            return record
    except FileNotFoundError:
        if not directory.exists() or _is_begun(directory):
            return None
    except (ValueError, NotADirectoryError):
        pass
    raise FileExistsError(
        f'Expected the rows of a run, got something else in {directory}; remove it or '
        'choose another output.'
    )


def _is_begun(directory: Path) -> bool:
    """Whether a run was killed before it wrote its record."""
    return {path.name for path in directory.iterdir()} <= {f'{RECORD_NAME}{UNFINISHED}'}


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    found = list(_compare(before, now))
    more = [f'{len(found) - _MOST} more'] if len(found) > _MOST else []
    return ' and '.join(found[:_MOST] + more)


def _compare(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Say of each value that differs where it stands and what it was."""
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from (f'{name} {inner}' for inner in _compare(old, new))
        elif old != new:
            yield f'{name} ({_shorten(old)}, now {_shorten(new)})'


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f'{text[:57]}...'

"""The work directory beside a map: its finished rows, and whose they are."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import UNFINISHED, write_json
from ..classes import ClassScheme
from .chunks import Rows, find_chunks, is_whole, read_chunk, write_chunk
from .grid import Grid, footprint
from .layers import CLASSES, Layer, find_layer
from .names import check_output, find_outputs

#: Name of the record of the settings in a work directory.
RECORD_NAME = 'run.json'


@dataclass(frozen=True)
class Parts:
    """The finished rows of a map, as files in the directory ``NAME.tif.part``.

    Any number of processes can write different rows at the same time.

    Attributes:
        output: Where the map shall be.
        grid: Its pixels.
        scheme: Its classes.
        layers: Its layers.
        settings: Plain values that decide its content, beside these.
    """

    output: Path
    grid: Grid
    scheme: ClassScheme
    layers: tuple[Layer, ...]
    settings: dict[str, Any]

    @property
    def directory(self) -> Path:
        """Where the rows are."""
        return Path(f'{self.output}{UNFINISHED}')

    @property
    def record(self) -> dict[str, Any]:
        """Everything that decides the content of the map, as JSON has it."""
        layers = {layer.name: list(layer.bands) for layer in self.layers}
        record = self.settings | self.grid.describe() | {'layers': layers}
        return json.loads(json.dumps(record, allow_nan=False))

    def done(self) -> set[Rows]:
        """Return which rows are there, whole and of this run."""
        record = self.record
        return {
            rows
            for rows, path in find_chunks(self.directory).items()
            if is_whole(path, rows, self._shapes(rows), record)
        }

    def write(self, start: int, stop: int, layers: Mapping[str, np.ndarray]) -> None:
        """Write finished rows, complete or not at all.

        Args:
            start: The first row.
            stop: The row after the last.
            layers: Array of each layer, uint8, of shape ``(rows, W)`` or
                ``(bands, rows, W)``.

        Raises:
            ValueError: If an array is missing or has another shape or type.
            OSError: If they cannot be written; the message says what to do.
        """
        shapes = self._shapes((start, stop))
        arrays = {
            name: array[None] if array.ndim == 2 else array
            for name, array in layers.items()
        }
        got = {name: array.shape for name, array in arrays.items()}
        wrong_types = [n for n, a in arrays.items() if a.dtype != np.uint8]
        if got != shapes or wrong_types or not 0 <= start < stop <= self.grid.height:
            raise ValueError(
                f'Expected uint8 arrays of {shapes} for the rows {start} to {stop} of '
                f'{self.grid.height}, got {got} {wrong_types or ""}.'
            )
        try:
            write_chunk(self.directory, (start, stop), arrays, self.record)
        except OSError as error:
            raise explain(error, self.directory) from error

    def read(self, name: str) -> Iterator[np.ndarray]:
        """Read the rows of a layer in their order, chunk by chunk.

        Args:
            name: Name of the layer.

        Yields:
            Arrays of shape ``(bands, rows, W)``.

        Raises:
            RuntimeError: If rows are missing or there twice.
        """
        row = 0
        for (start, stop), path in find_chunks(self.directory).items():
            if start != row:
                break
            yield read_chunk(path, name)
            row = stop
        if row != self.grid.height:
            raise RuntimeError(
                f'Expected each of the {self.grid.height} rows once, got them up to '
                f'{row} in {self.directory}; run the same command again, without a '
                'limit on its batches.'
            )

    def remove(self) -> None:
        """Remove the work directory, once the map is there."""
        _remove(self.directory)

    def _shapes(self, rows: Rows) -> dict[str, tuple[int, ...]]:
        size = (rows[1] - rows[0], self.grid.width)
        return {layer.name: (len(layer.bands), *size) for layer in self.layers}


def open_parts(
    output: Path | str,
    grid: Grid,
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
    grid: Grid,
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


def explain(error: Exception, path: Path) -> OSError:
    """Say what to do after a file could not be written."""
    reason = getattr(error, 'strerror', None) or error
    message = (
        f'Expected to write {path}, got: {reason}; see to it that there is room, that '
        'you may write there and that no other run makes the same map, then run the '
        'same command again: it goes on from the rows done'
    )
    number = getattr(error, 'errno', None)
    return OSError(message) if number is None else OSError(number, message)


def _plan(
    output: Path | str,
    grid: Grid,
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
            _remove(parts.directory)
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


def _remove(directory: Path) -> None:
    """Remove a work directory, the record last: until then it is known whose it is."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != RECORD_NAME:
            path.unlink()
    shutil.rmtree(directory)


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
    names = [n for n in {**before, **now} if before.get(n) != now.get(n)]
    return ' and '.join(
        f'{name} ({_shorten(before.get(name))}, now {_shorten(now.get(name))})'
        for name in names
    )


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f'{text[:57]}...'

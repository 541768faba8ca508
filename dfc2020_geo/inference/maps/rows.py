"""The finished rows of a map, in the work directory beside it."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...classes import ClassScheme
from ...io.atomic import UNFINISHED
from ...io.grid import RasterGrid
from .layers import Layer
from .row_files import Rows, find_chunks, is_whole, read_chunk, write_chunk

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
    grid: RasterGrid
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
        record = self.settings | self.grid.to_dict() | {'layers': layers}
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
        """Remove the work directory.

        The record goes last: until then it is known whose it is.
        """
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != RECORD_NAME:
                path.unlink()
        shutil.rmtree(self.directory)

    def _shapes(self, rows: Rows) -> dict[str, tuple[int, ...]]:
        size = (rows[1] - rows[0], self.grid.width)
        return {layer.name: (len(layer.bands), *size) for layer in self.layers}


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

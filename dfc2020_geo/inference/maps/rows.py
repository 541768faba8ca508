"""The finished rows of a map: row files in the work directory, and how it is resumed."""

import re
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from ...classes import ClassScheme
from ...io.atomic import UNFINISHED, require_space
from ...io.grid import RasterGrid
from ...io.run_record import FileStamp, RunRecord, is_own_file
from .layers import CLASSES, MapLayer, check_output, find_layer, find_outputs
from .stac import footprint

#: Rows of a map: the first one, and the one after the last.
type RowRange = tuple[int, int]

_NAME = re.compile(r'rows_(\d{7,})-(\d{7,})\.(\w+)')


class MapRows:
    """The finished rows of a map, as row files in the directory ``NAME.tif.part``.

    Any number of processes can write different rows at the same time. A row file holds
    the rows of one layer, uint8 of shape ``(bands, rows, W)``, and nothing else; the
    record of the run has its size and checksum once it is finished.

    Attributes:
        output: Where the map shall be.
        grid: Its pixels.
        scheme: Its classes.
        layers: Its layers.
        settings: Plain values that decide its content, beside these.
        record: The record of the run, in the work directory.
    """

    def __init__(
        self,
        output: Path | str,
        grid: RasterGrid,
        scheme: ClassScheme,
        layers: Sequence[str],
        settings: Mapping[str, Any],
    ) -> None:
        """Initialize a new MapRows instance, without changing anything on the disk.

        Args:
            output: Where the map shall be, a ``.tif``.
            grid: Its pixels.
            scheme: Its classes.
            layers: Names of the layers beside the classes.
            settings: Plain values that decide its content.

        Raises:
            ValueError: If *output* cannot be a map's name, or there is no such layer.
        """
        self.output = check_output(output)
        self.grid, self.scheme = grid, scheme
        names = dict.fromkeys([CLASSES, *layers])
        self.layers = tuple(find_layer(name, scheme) for name in names)
        self.settings: dict[str, Any] = {**settings, 'scheme': scheme.name}
        bands = {layer.name: list(layer.bands) for layer in self.layers}
        everything = self.settings | grid.to_dict() | {'layers': bands}
        self.record = RunRecord(f'{self.output}{UNFINISHED}', everything)

    @property
    def directory(self) -> Path:
        """The work directory, where the row files are."""
        return self.record.directory

    def done(self) -> set[RowRange]:
        """Return which rows are there: all layers, whole and of this run.

        Returns:
            Ranges of rows.
        """
        whole = self.record.whole_files()
        found = [self._find(layer, whole) for layer in self.layers]
        return set.intersection(*map(set, found))

    def write(self, start: int, stop: int, layers: Mapping[str, np.ndarray]) -> None:
        """Write finished rows, and note them in the record.

        Args:
            start: The first row.
            stop: The row after the last.
            layers: Array of each layer, uint8, of shape ``(rows, W)`` or
                ``(bands, rows, W)``.

        Raises:
            ValueError: If an array is missing or has another shape or type.
            OSError: If they cannot be written; the message says what to do.
        """
        shapes = {
            layer.name: self._shape(layer, (start, stop)) for layer in self.layers
        }
        arrays = {
            name: np.ascontiguousarray(array[None] if array.ndim == 2 else array)
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
            with require_space(self.directory):
                for name, array in arrays.items():
                    file = f'rows_{start:07d}-{stop:07d}.{name}'
                    (self.directory / file).write_bytes(array)
                    self.record.note(file, stamp=_stamp(array))
        except OSError as error:
            raise explain(error, self.directory) from error

    def read(self, name: str) -> Iterator[np.ndarray]:
        """Read the rows of a layer in their order, row file by row file.

        Args:
            name: Name of the layer.

        Yields:
            Arrays of shape ``(bands, rows, W)``, uint8.

        Raises:
            RuntimeError: If rows are missing, there twice or damaged.
        """
        noted = self.record.noted_files()
        layer = find_layer(name, self.scheme)
        row = 0
        for (start, stop), file in self._find(layer, noted).items():
            path = self.directory / file
            if start != row or not path.is_file():
                break
            rows = np.fromfile(path, np.uint8)
            if _stamp(rows) != noted[file].stamp:
                raise RuntimeError(
                    f'Expected {path} as it was written, got a damaged file; run the '
                    'same command again, which makes these rows anew.'
                )
            yield rows.reshape(self._shape(layer, (start, stop)))
            row = stop
        if row != self.grid.height:
            raise RuntimeError(
                f'Expected each of the {self.grid.height} rows once, got them up to '
                f'{row} in {self.directory}; run the same command again, without a '
                'limit on its batches.'
            )

    def remove(self) -> None:
        """Remove the work directory.

        The record goes last: until then the run can be told.
        """
        self.clean(())
        self.record.remove()
        shutil.rmtree(self.directory)

    def clean(self, kept: Container[str] = ()) -> None:
        """Remove everything but the record from the work directory.

        Args:
            kept: Names of row files that stay.
        """
        for path in self.directory.iterdir():
            if path.name not in kept and not is_own_file(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _find(self, layer: MapLayer, names: Mapping[str, Any]) -> dict[RowRange, str]:
        """Find the row files of a layer among names of files, in their order."""
        found = {
            (int(match[1]), int(match[2])): name
            for name in names
            if (match := _NAME.fullmatch(name)) and match[3] == layer.name
        }
        return dict(sorted(found.items()))

    def _shape(self, layer: MapLayer, rows: RowRange) -> tuple[int, int, int]:
        return len(layer.bands), rows[1] - rows[0], self.grid.width


def open_rows(
    output: Path | str,
    grid: RasterGrid,
    scheme: ClassScheme,
    layers: Sequence[str],
    settings: Mapping[str, Any],
    overwrite: bool = False,
    findings: Sequence[Any] = (),
) -> MapRows:
    """Begin a map, or resume it if it was interrupted.

    One process calls it, before others call :func:`join_rows`: it removes what a
    killed run left half-written, and keeps other runs from the map until the rows are
    removed or the record is unlocked.

    Args:
        output: Where the map shall be, a ``.tif``.
        grid: Its pixels.
        scheme: Its classes.
        layers: Names of the layers beside the classes.
        settings: Plain values that decide its content.
        overwrite: Whether a map that is there, or the rows of other settings, may go.
        findings: What checks have found, as plain values.

    Returns:
        The rows of the map.

    Raises:
        FileExistsError: If the map is there, another process makes it, or rows of other
            settings are there; the message says which settings differ.
        OSError: If it cannot be written there; the message says what to do.
        ValueError: If *output* cannot be a map's name, or the grid does not lie on the
            Earth.
    """
    rows = MapRows(output, grid, scheme, layers, settings)
    rows.record.findings = list(findings)
    footprint(grid)
    _require_own(rows)
    if not rows.directory.exists():
        _require_no_map(rows, overwrite)
    try:
        rows.directory.mkdir(parents=True, exist_ok=True)
        rows.record.lock()
        _begin(rows, overwrite)
    except BaseException as error:
        rows.record.unlock()
        with suppress(OSError):  # unless it is empty
            rows.directory.rmdir()
        # What the system says; of what is refused here, the message says it all.
        if isinstance(error, OSError) and error.errno is not None:
            raise explain(error, rows.directory) from error
        raise
    return rows


def _begin(rows: MapRows, overwrite: bool) -> None:
    if rows.record.is_resumable():
        rows.clean(rows.record.noted_files())
        rows.record.begin()
        return
    if rows.record.find() is not None and not overwrite:
        raise FileExistsError(
            f'Expected the rows of the same settings, got {rows.record.describe_found()} '
            f'in {rows.directory}; resume it with its settings, set overwrite or choose '
            'another --out.'
        )
    _require_no_map(rows, overwrite)
    for path in find_outputs(rows.output):
        path.unlink()
    rows.clean()
    rows.record.begin()


def _require_no_map(rows: MapRows, overwrite: bool) -> None:
    outputs = find_outputs(rows.output)
    if outputs and not overwrite:
        raise FileExistsError(
            f'Expected no map yet, got {", ".join(map(str, outputs))}; set overwrite or '
            'choose another --out.'
        )


def _require_own(rows: MapRows) -> None:
    """Check that nothing but a run's files is in the place of the work directory."""
    directory = rows.directory
    try:
        if not directory.exists() or rows.record.find() is not None:
            return
        # A run can be killed before it has written its record.
        if all(is_own_file(path.name) for path in directory.iterdir()):
            return
        reason: Exception | None = None
    except (ValueError, NotADirectoryError) as error:
        reason = error
    raise FileExistsError(
        f'Expected the rows of a run, got something else in {directory}; remove it or '
        'choose another --out.'
    ) from reason


def join_rows(
    output: Path | str,
    grid: RasterGrid,
    scheme: ClassScheme,
    layers: Sequence[str],
    settings: Mapping[str, Any],
) -> MapRows:
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
    rows = MapRows(output, grid, scheme, layers, settings)
    if not rows.record.is_resumable():
        found = rows.record.find()
        other = 'none' if found is None else rows.record.describe_found()
        raise RuntimeError(
            f'Expected the first process to have begun {rows.directory} with the same '
            f'settings, got {other}.'
        )
    return rows


def explain(error: Exception, path: Path) -> OSError:
    """Say what to do after a file of a map could not be written.

    Args:
        error: What failed.
        path: What was to be written.

    Returns:
        An error of the same number.
    """
    reason = getattr(error, 'strerror', None) or error
    explained = OSError(
        f'Expected to write {path}, got: {reason}; see to it that there is free space '
        'and that you may write there, then run the same command again: it is resumed '
        'after the rows done'
    )
    explained.errno = getattr(error, 'errno', None)
    return explained


def _stamp(array: np.ndarray) -> FileStamp:
    return FileStamp(array.nbytes, xxhash.xxh3_64_hexdigest(array.data))

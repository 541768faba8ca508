"""The table of a pack's rasters: where each one is, sorted by folder and name."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xxhash

from .manifest import Folder, Stored
from .opened import OpenShard
from .shards import Entry, TensorWriter, digest_file, read_entries

#: Columns with one row for each raster: its name; its kind, in the manifest; its shard;
#: where it begins there; its first row in the columns of bands; its transform.
_ROWS = ('name', 'kind', 'shard', 'start', 'first', 'transform')
#: Columns with one row for each band: its bytes in the shard, and their checksum.
_BANDS = ('size', 'sum')
COLUMNS = (*_ROWS, *_BANDS)
_ALIGNMENT = 64


class Table:
    """The columns of a table, by name.

    Attributes:
        columns: Arrays of equal lengths; two of them have a row for each band.
    """

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        """Initialize a new Table instance.

        Args:
            columns: Arrays by the names in :data:`COLUMNS`.
        """
        self.columns = columns
        self._names = columns['name'].view(f'S{columns["name"].shape[1]}').reshape(-1)

    @property
    def num_bands(self) -> int:
        """Number of bands of all rasters together."""
        return len(self.columns['sum'])

    @staticmethod
    def read(path: Path, stored: Stored) -> 'StoredTable':
        """Open a table; :meth:`StoredTable.load` reads what it holds.

        Args:
            path: File of the table.
            stored: Size that it must have.

        Returns:
            The table.

        Raises:
            ValueError: If it is missing or damaged.
        """
        try:
            file = OpenShard(path)
            size = os.fstat(file.number).st_size
            if size != stored.size:
                raise ValueError(f'{size} bytes, not {stored.size}')
            with open(file.number, 'rb', closefd=False) as header:
                entries = read_entries(header)
            return StoredTable(file, {name: entries[name] for name in COLUMNS})
        except (OSError, LookupError, TypeError) as error:
            raise ValueError(getattr(error, 'strerror', None) or str(error)) from None

    def write(self, path: Path) -> Stored:
        """Write the table.

        Args:
            path: File to write.

        Returns:
            Its size and checksum.
        """
        with TensorWriter(path, COLUMNS, _ALIGNMENT) as writer:
            for name in COLUMNS:
                column = np.ascontiguousarray(self.columns[name])
                writer.add(column.dtype, column.shape, [column.data])
            writer.finish({'content': 'table of rasters'})
        return Stored(path.stat().st_size, digest_file(path))

    def digest(self, start: int, stop: int) -> str:
        """Return the checksum of the rows from *start* to *stop*, and of their bands."""
        firsts, end = self.columns['first'], self.num_bands
        first, last = (
            int(firsts[i]) if i < len(firsts) else end for i in (start, stop)
        )
        places = _places(start, stop, first, last)
        return _digest({name: self.columns[name][places[name]] for name in COLUMNS})

    def find(self, folder: Folder, name: str) -> int | None:
        """Find the row of a raster.

        Args:
            folder: The folder that it is in.
            name: Its name there.

        Returns:
            The row, None if there is no such raster.
        """
        wanted = os.fsencode(name)
        row = int(self._names[folder.start : folder.stop].searchsorted(wanted))
        row += folder.start
        found = row < folder.stop and self._names[row] == wanted
        return row if found else None

    def name(self, row: int) -> str:
        """Return the name of the raster in a row."""
        return os.fsdecode(self._names[row].item())

    def names(self, folder: Folder) -> Iterator[str]:
        """Yield the names of a folder's rasters."""
        yield from map(os.fsdecode, self._names[folder.start : folder.stop].tolist())


class StoredTable(Table):
    """A table in a file, of which rows are there once they were read and checked.

    It is not mapped: a file that is cut off would end the process.
    """

    def __init__(self, file: OpenShard, entries: dict[str, Entry]) -> None:
        """Initialize a new StoredTable instance.

        Args:
            file: Its file.
            entries: Where the columns are.

        Raises:
            ValueError: If they cannot be there.
        """
        size = os.fstat(file.number).st_size
        for names in (_ROWS, _BANDS):
            if len({entries[name].shape[0] for name in names}) > 1:
                raise ValueError('columns of other lengths')
        for dtype, shape, start in entries.values():
            if start + int(np.prod(shape)) * dtype.itemsize > size:
                raise ValueError('columns beyond its end')
        # The system gives memory to rows once they are written.
        super().__init__({n: np.zeros(e.shape, e.dtype) for n, e in entries.items()})
        self._file, self._entries = file, entries

    def load(self, folder: Folder) -> None:
        """Read the rows of a folder.

        Args:
            folder: The folder.

        Raises:
            ValueError: If they are not what was written.
        """
        start, stop, digest = folder
        try:
            # The first band of the next row is the end of the last one's.
            firsts = self._read('first', slice(start, stop + 1)).tolist()
            last = firsts[-1] if len(firsts) > stop - start else self.num_bands
            places = _places(start, stop, firsts[0], last)
            parts = {name: self._read(name, places[name]) for name in COLUMNS}
        except (OSError, LookupError) as error:
            raise ValueError(str(error)) from None
        if _digest(parts) != digest:
            raise ValueError('wrong checksum')
        for name, part in parts.items():
            self.columns[name][places[name]] = part

    def _read(self, name: str, place: slice) -> np.ndarray:
        """Read a part of a column; none of what is beyond its end."""
        column = self.columns[name]
        part = np.empty_like(column[place])
        start = self._entries[name].start + place.start * column[:1].nbytes
        if part.size and not self._file.fill(start, part):
            raise OSError('the end of the file')
        return part


def _places(start: int, stop: int, first: int, last: int) -> dict[str, slice]:
    """Say where rows, and their bands, are in the columns."""
    rows, bands = slice(start, stop), slice(first, last)
    return {name: bands if name in _BANDS else rows for name in COLUMNS}


def _digest(parts: dict[str, np.ndarray]) -> str:
    digest = xxhash.xxh3_64()
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(parts[name]).data)
    return digest.hexdigest()

"""The table of a pack's rasters: where each one is, sorted by folder and name."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xxhash

from .manifest import Folder, Stored, damaged
from .shards import TensorWriter, digest_file, read_entries

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

    @classmethod
    def read(cls, path: Path, stored: Stored) -> 'Table':
        """Open a table; what it holds is read when it is needed.

        Args:
            path: File of the table.
            stored: Size and checksum that it must have.

        Returns:
            The table. That its rows are what was written, :meth:`digest` tells.

        Raises:
            RuntimeError: If it is missing or damaged.
        """
        try:
            with path.open('rb') as file:
                if os.fstat(file.fileno()).st_size != stored.size:
                    raise RuntimeError(damaged(path, 'another size'))
                entries = read_entries(file)
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            columns = {
                name: np.frombuffer(
                    memory, entry.dtype, int(np.prod(entry.shape)), entry.start
                ).reshape(entry.shape)
                for name, entry in ((name, entries[name]) for name in COLUMNS)
            }
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise RuntimeError(damaged(path, str(error))) from None
        return cls(columns)

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
        digest = xxhash.xxh3_64()
        firsts = self.columns['first']
        end = len(self.columns['sum'])
        bands = slice(
            int(firsts[start]) if start < len(firsts) else end,
            int(firsts[stop]) if stop < len(firsts) else end,
        )
        for name in COLUMNS:
            part = bands if name in _BANDS else slice(start, stop)
            digest.update(np.ascontiguousarray(self.columns[name][part]).data)
        return digest.hexdigest()

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

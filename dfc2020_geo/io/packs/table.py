"""The table of a pack's rasters, sorted by folder and name: where each one is."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xxhash

from ..run_record import FileStamp
from ..safe_names import find_name_fault
from .codecs import FORMATS, MAX_RATIO
from .manifest import FolderRows, Manifest, require_link_inside
from .shards import ShardFile
from .tensors import TensorEntry, TensorWriter, read_entries

#: Columns with one row for each raster, by type and shape of a row: its name; its profile,
#: in the manifest; its shard; where it begins there; its first row in the columns of
#: bands; its transform.
_ROWS = {
    'name': 'u1',
    'kind': 'u4',
    'shard': 'u4',
    'start': 'u8',
    'first': 'u8',
    'transform': 'f8',
}
#: Columns with one row for each band: its bytes in the shard, and their checksum.
_BANDS = {'size': 'u4', 'sum': 'u8'}
COLUMNS = (*_ROWS, *_BANDS)
_ALIGNMENT = 64


class RasterTable:
    """The columns of a table, by name.

    Attributes:
        columns: Arrays of equal lengths; two of them have a row for each band.
    """

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        """Initialize a new RasterTable instance.

        Args:
            columns: Arrays by the names in :data:`COLUMNS`.
        """
        self.columns = columns
        self._names = columns['name'].view(f'S{columns["name"].shape[1]}').reshape(-1)

    @property
    def num_bands(self) -> int:
        """Number of bands of all rasters together."""
        return len(self.columns['sum'])

    def write(self, path: Path) -> FileStamp:
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
        return FileStamp.of(path)

    def digest(self, start: int, stop: int) -> str:
        """Return the checksum of the rows from *start* to *stop*, and of their bands.

        Args:
            start: First row
            stop: The row after the last.

        Returns:
            Checksum, hexadecimal.
        """
        firsts, end = self.columns['first'], self.num_bands
        first, last = (
            int(firsts[i]) if i < len(firsts) else end for i in (start, stop)
        )
        places = _places(start, stop, first, last)
        return _digest({name: self.columns[name][places[name]] for name in COLUMNS})

    def find(self, folder: FolderRows, name: str) -> int | None:
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
        """Return the name of the raster in a row.

        Args:
            row: Row of the table.

        Returns:
            Name of the raster, without its folder.
        """
        return os.fsdecode(self._names[row].item())

    def names(self, folder: FolderRows) -> Iterator[str]:
        """Yield the names of a folder's rasters.

        Args:
            folder: Rows of the folder.

        Yields:
            Names in the order of the rows.
        """
        yield from map(os.fsdecode, self._names[folder.start : folder.stop].tolist())


class StoredTable(RasterTable):
    """A table in a file, of which rows are there once they were read and checked.

    It is not mapped: a file that is cut off would end the process.
    """

    def __init__(self, root: Path, name: str, manifest: Manifest) -> None:
        """Initialize a new StoredTable instance.

        Args:
            root: The pack.
            name: File of the table, relative to the pack.
            manifest: Manifest of the pack.

        Raises:
            ValueError: If the file is missing or damaged, or no table of this pack.
        """
        self._manifest = manifest
        try:
            require_link_inside(root, name)
            self._file = ShardFile(root / name)
            size = self._file.state()[1]
            if size != manifest.index.size:
                raise ValueError(f'{size} bytes, not {manifest.index.size}')
            entries = read_entries(self._file.file)
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from None
        _require_columns(entries)
        self._entries = {column: entries[column] for column in COLUMNS}
        # The system gives memory to rows once they are written.
        super().__init__(
            {n: np.zeros(e.shape, e.dtype) for n, e in self._entries.items()}
        )

    def load(self, folder: FolderRows) -> None:
        """Read the rows of a folder.

        Args:
            folder: The folder.

        Raises:
            ValueError: If they are not what was written, or cannot be of this pack.
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
        self._require_rows(parts, stop - start, firsts[0])
        for name, part in parts.items():
            self.columns[name][places[name]] = part

    def _read(self, name: str, place: slice) -> np.ndarray:
        """Read a part of a column; none of what is beyond its end."""
        column = self.columns[name]
        part = np.empty_like(column[place])
        start = self._entries[name].start + place.start * column[:1].nbytes
        if part.size and not self._file.read_into(part, start):
            raise OSError('the end of the file')
        return part

    def _require_rows(
        self, parts: dict[str, np.ndarray], num_rows: int, first_band: int
    ) -> None:
        """Check that rows name profiles, shards, bands and bytes that there are."""
        profiles, shards = self._manifest.profiles, self._manifest.shards
        kinds, numbers, sizes = parts['kind'], parts['shard'], parts['size']
        if (
            len(kinds) != num_rows
            or kinds.max(initial=0) >= len(profiles)
            or numbers.max(initial=0) >= len(shards)
        ):
            raise ValueError('rasters of no shard or kind')
        counts = np.array([p.num_bands for p in profiles], np.int64)[kinds]
        firsts = np.append(0, np.cumsum(counts))
        given = parts['first'] - np.uint64(first_band)
        if firsts[-1] != len(sizes) or (given != firsts[:-1].astype(np.uint64)).any():
            raise ValueError('other bands than their kinds have')
        wanted = np.array([p.band_bytes for p in profiles], np.int64)[kinds]
        wanted, sizes = np.repeat(wanted, counts), sizes.astype(np.int64)
        if FORMATS[self._manifest.format]:
            fits = (sizes <= wanted) & (sizes * MAX_RATIO >= wanted) & (sizes > 0)
        else:
            fits = sizes == wanted
        bytes_of = np.append(0, np.cumsum(sizes))
        ends = np.array([shard.size for shard in shards], np.int64)[numbers]
        latest = ends - (bytes_of[firsts[1:]] - bytes_of[firsts[:-1]])
        fits = fits.all() and (latest >= 0).all()
        if not fits or (parts['start'] > latest.astype(np.uint64)).any():
            raise ValueError('bands of other sizes than their shards and kinds have')
        self._require_names(parts['name'])

    def _require_names(self, names: np.ndarray) -> None:
        """Refuse names that lead out of their folder; nearly all are plain."""
        ends = names == 0
        whole = (ends[:, :-1] <= ends[:, 1:]).all()
        if whole and _PLAIN[names].all() and not np.isin(names[:, 0], (0, 46)).any():
            return
        for name in names.view(f'S{names.shape[1]}').reshape(-1).tolist():
            text = os.fsdecode(name)
            fault = 'a path in it' if '/' in text else find_name_fault(text)
            if fault:
                raise ValueError(f'the name {text!a} has {fault}')


def _require_columns(entries: dict[str, TensorEntry]) -> None:
    """Check types and shapes of the columns."""
    for columns in (_ROWS, _BANDS):
        for column, code in columns.items():
            entry = entries.get(column)
            if entry is None or entry.dtype != code:
                raise ValueError(f'no column {column}')
            fixed = {'name': entry.shape[1:2], 'transform': (6,)}.get(column, ())
            if len(entry.shape) != 1 + len(fixed) or entry.shape[1:] != fixed:
                raise ValueError(f'a column {column} of shape {entry.shape}')
        if len({entries[column].shape[0] for column in columns}) > 1:
            raise ValueError('columns of other lengths')
    if entries['name'].shape[1:] in ((), (0,)):
        raise ValueError('no names')


#: For each byte, whether a name of it needs no closer look; 0 fills short names up.
_PLAIN = np.array(
    [not b or (chr(b).isalnum() and b < 128) or chr(b) in ' ._-' for b in range(256)]
)


def _places(start: int, stop: int, first: int, last: int) -> dict[str, slice]:
    """Say where rows, and their bands, are in the columns."""
    rows, bands = slice(start, stop), slice(first, last)
    return {name: bands if name in _BANDS else rows for name in COLUMNS}


def _digest(parts: dict[str, np.ndarray]) -> str:
    digest = xxhash.xxh3_64()
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(parts[name]).data)
    return digest.hexdigest()

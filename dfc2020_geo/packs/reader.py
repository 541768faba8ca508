"""Reading rasters of a pack, as if its source was there."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)

from ..rasters import Grid, require_bands
from ..tiffs import Pixels, fits
from .bands import Plan, plan_reading, read_run
from .codecs import FORMATS
from .manifest import (
    INDEX,
    MANIFEST,
    UNFINISHED,
    Folder,
    Kind,
    Manifest,
    damaged,
    shard_name,
)
from .opened import OpenShards, Taken
from .remote import find_url, local_path, open_mirror
from .table import Table

#: A raster's row in the table; positions of bands, counted from 1; how many it must
#: have, if that is known; where they go, if it fits.
type Wanted = tuple[int, Sequence[int], int | None, np.ndarray | None]


def open_pack(root: Path | str) -> 'Pack | None':
    """Open a pack, if there is one.

    Args:
        root: A folder, or a URL that fsspec understands, such as ``s3://bucket/pack``.

    Returns:
        The pack; None if *root* is another folder.

    Raises:
        FileNotFoundError: If there is none at a URL, or if one is not finished.
        RuntimeError: If it is damaged, or cannot be fetched.
    """
    url = find_url(root)
    if url is not None:
        return Pack(*open_mirror(url), url)
    root = local_path(root)
    if (root / MANIFEST).is_file():
        return Pack(root, Manifest.read(root))
    if (root / UNFINISHED).is_dir():
        raise FileNotFoundError(
            f'Expected a finished pack, got one that was begun in {root}. Run the same '
            'dfc2020-geo pack again: it goes on where it stopped.'
        )
    return None


class Pack:
    """The rasters of a pack, by the paths that they had in their source.

    Threads and processes may read at the same time.

    Attributes:
        root: The folder that stands for the root of the source.
        manifest: What is in the pack.
    """

    def __init__(self, root: Path, manifest: Manifest, url: str | None = None) -> None:
        """Initialize a new Pack instance.

        Args:
            root: The pack; or the folder that keeps what is fetched of it.
            manifest: Its manifest.
            url: Where its files are fetched from, if they are.
        """
        self.root = root
        self.manifest = manifest
        self.url = url
        self._prefix = '' if root == Path() else f'{root}/'
        self._table = Table.read(root / INDEX, manifest.index)
        self._whole: set[str] = set()  # folders whose rows are what was written
        self._shards = OpenShards(root, manifest, url, self._table.num_bands)
        self._plain = not FORMATS[manifest.format]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy to another process: it opens the same files."""
        return _open_again, (self.root, self.url)

    def read_stored(
        self,
        path: Path | str,
        indexes: Sequence[int],
        num_bands: int | None = None,
        out: np.ndarray | None = None,
    ) -> Pixels:
        """Read some bands of a raster, and what its source declared as no data.

        Args:
            path: The raster: *root* and its path in the source.
            indexes: Positions of the bands, counted from 1.
            num_bands: Number of bands that it must have, if that is known.
            out: Array to read into, if it has the shape and the type of what is read.

        Returns:
            The bands in the type of the pack; the source may have had a wider one.

        Raises:
            RuntimeError: If the raster is missing, has another number of bands or is
                not what was packed; the message names it, and the shard.
        """
        return self.read_rows([(self.find(path), indexes, num_bands, out)])[0]

    def read_rows(self, wanted: Iterable[Wanted]) -> list[Pixels]:
        """Read some bands of rasters that :meth:`find` has found.

        Args:
            wanted: For each its row, and what :meth:`read_stored` is told.

        Returns:
            As :meth:`read_stored`.

        Raises:
            RuntimeError: As :meth:`read_stored`.
        """
        taken: dict[int, Taken] = {}
        return [self._read(*each, taken) for each in wanted]

    def find(self, path: Path | str) -> int:
        """Find a raster.

        Args:
            path: The raster: *root* and its path in the source.

        Returns:
            Its row in the table.

        Raises:
            RuntimeError: If it is missing; the message names it.
        """
        folder_name, _, name = str(path).removeprefix(self._prefix).rpartition('/')
        folder = self.folder(folder_name)
        row = None if folder is None else self._table.find(folder, name)
        if row is None:
            raise RuntimeError(
                f'Expected a readable raster, got a missing one: {path} (not in the '
                f'pack); pack its source again.'
            )
        return row

    def path(self, row: int) -> Path:
        """Return the path of the raster in a row of the table."""
        folders = self.manifest.folders.items()
        folder = next(name for name, f in folders if f.start <= row < f.stop)
        return self.root / folder / self._table.name(row)

    def grid(self, path: Path | str) -> Grid:
        """Say where on Earth a raster lies.

        Args:
            path: The raster: *root* and its path in the source.

        Returns:
            Its size, CRS and transform.

        Raises:
            RuntimeError: If it is missing; the message names it.
        """
        row = self.find(path)
        kind = self._kind(row)
        transform = Affine(*self._table.columns['transform'][row].tolist())
        crs = None if kind.crs is None else CRS.from_string(kind.crs)
        return Grid((kind.height, kind.width), crs, transform)

    def folder(self, name: str) -> Folder | None:
        """Return the rows of a folder, checked when it is asked for first."""
        folder = self.manifest.folders.get(name)
        if folder is not None and name not in self._whole:
            if self._table.digest(folder.start, folder.stop) != folder.digest:
                reason = f'wrong checksum of folder {name or "."}'
                raise RuntimeError(damaged(self.root / INDEX, reason))
            self._whole.add(name)
        return folder

    def names(self, name: str) -> list[str]:
        """Return the names of the rasters in a folder."""
        folder = self.folder(name)
        return [] if folder is None else [*self._table.names(folder)]

    def kind(self, path: Path | str) -> Kind:
        """Return what a raster has in common with others.

        Args:
            path: The raster: *root* and its path in the source.

        Raises:
            RuntimeError: If it is missing; the message names it.
        """
        return self._kind(self.find(path))

    def in_shard(self, number: int) -> Iterator[str]:
        """Yield the paths of the rasters that a shard holds, as in the source."""
        shards = self._table.columns['shard']
        for name, (start, stop, _) in self.manifest.folders.items():
            held = np.flatnonzero(shards[start:stop] == number)
            if len(held):
                names = self.names(name)
                yield from (f'{name}/{names[i]}'.lstrip('/') for i in held)

    def _kind(self, row: int) -> Kind:
        return self.manifest.kinds[self._table.columns['kind'].item(row)]

    def _read(
        self,
        row: int,
        indexes: Sequence[int],
        num_bands: int | None,
        out: np.ndarray | None,
        taken: dict[int, Taken],
    ) -> Pixels:
        kind = self._kind(row)
        if num_bands != kind.num_bands:
            require_bands(self.path(row), kind.num_bands, indexes, num_bands)
        plan = plan_reading(kind, tuple(indexes))
        if out is None or not fits(out, plan.shape, plan.dtype):
            out = np.empty(plan.shape, plan.dtype)
        number = self._table.columns['shard'].item(row)
        if number not in taken:
            taken[number] = self._take(number, row)
        self._fill(out, row, plan, taken[number])
        return Pixels(out, plan.nodata, kind.num_bands)

    def _take(self, number: int, row: int) -> Taken:
        shards = self._shards
        return shards.take(number) or shards.open(number, self.path(row))

    def _fill(self, values: np.ndarray, row: int, plan: Plan, taken: Taken) -> None:
        shard, checked = taken
        columns = self._table.columns
        start, first = columns['start'].item(row), columns['first'].item(row)
        known = plan.are_set(checked, first)
        if known and self._plain and shard.copy(start, values, plan.pieces):
            return
        for target, source, count in plan.runs:
            bands = slice(first + source, first + source + count)
            sizes = columns['size'][first : bands.stop].tolist()
            places = [*accumulate(sizes, initial=start)][source:]
            sums = None if known else columns['sum'][bands].tolist()
            wrong = read_run(shard, places, values[target : target + count], sums)
            if wrong is not None:
                number = columns['shard'].item(row)
                reason = f'band {source + wrong + 1} of {self.path(row)}'
                file = self.root / shard_name(number)
                raise RuntimeError(damaged(file, f'wrong checksum of {reason}'))
            checked[bands] = b'\1' * count


def _open_again(root: Path, url: str | None) -> Pack:
    return Pack(root, Manifest.read(root), url)

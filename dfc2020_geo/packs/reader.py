"""Reading rasters of a pack, as if its source was there."""

import os
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)

from ..rasters import Grid, require_bands
from ..tiffs import Pixels
from .bands import OpenShard, find_runs, read_run
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
from .remote import fetch, find_url, local_path, open_mirror
from .table import Table

#: How many shards are open at once: systems allow a process a few hundred files.
_NUM_OPEN = 200


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
        self._checked: set[str] = set()
        self._open: dict[int, OpenShard] = {}

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
        row = self._find(path)
        kind = self._kind(row)
        require_bands(path, kind.num_bands, indexes, num_bands)
        shape, dtype = (len(indexes), kind.height, kind.width), np.dtype(kind.dtype)
        fits = out is not None and out.shape == shape and out.dtype == dtype
        values = out if fits and out.flags.c_contiguous else np.empty(shape, dtype)
        self._read(path, row, kind, [index - 1 for index in indexes], values)
        nodata = None if kind.nodata is None else float(kind.nodata)
        return Pixels(values, nodata, kind.num_bands)

    def grid(self, path: Path | str) -> Grid:
        """Say where on Earth a raster lies.

        Args:
            path: The raster: *root* and its path in the source.

        Returns:
            Its size, CRS and transform.

        Raises:
            RuntimeError: If it is missing; the message names it.
        """
        row = self._find(path)
        kind = self._kind(row)
        transform = Affine(*self._table.columns['transform'][row].tolist())
        crs = None if kind.crs is None else CRS.from_string(kind.crs)
        return Grid((kind.height, kind.width), crs, transform)

    def folder(self, name: str) -> Folder | None:
        """Return the rows of a folder, checked when it is asked for first."""
        folder = self.manifest.folders.get(name)
        if folder is not None and name not in self._checked:
            if self._table.digest(folder.start, folder.stop) != folder.digest:
                reason = f'wrong checksum of folder {name or "."}'
                raise RuntimeError(damaged(self.root / INDEX, reason))
            self._checked.add(name)
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
        return self._kind(self._find(path))

    def in_shard(self, number: int) -> Iterator[str]:
        """Yield the paths of the rasters that a shard holds, as in the source."""
        shards = self._table.columns['shard']
        for name, (start, stop, _) in self.manifest.folders.items():
            held = np.flatnonzero(shards[start:stop] == number)
            if len(held):
                names = self.names(name)
                yield from (f'{name}/{names[i]}'.lstrip('/') for i in held)

    def _find(self, path: Path | str) -> int:
        folder_name, _, name = str(path).removeprefix(self._prefix).rpartition('/')
        folder = self.folder(folder_name)
        row = None if folder is None else self._table.find(folder, name)
        if row is None:
            raise RuntimeError(
                f'Expected a readable raster, got a missing one: {path} (not in the '
                f'pack); pack its source again.'
            )
        return row

    def _kind(self, row: int) -> Kind:
        return self.manifest.kinds[int(self._table.columns['kind'][row])]

    def _read(
        self,
        path: Path | str,
        row: int,
        kind: Kind,
        bands: Sequence[int],
        values: np.ndarray,
    ) -> None:
        columns = self._table.columns
        first = int(columns['first'][row])
        rows = slice(first, first + kind.num_bands)
        sizes, sums = columns['size'][rows].tolist(), columns['sum'][rows].tolist()
        starts = list(accumulate(sizes, initial=int(columns['start'][row])))
        number = int(columns['shard'][row])
        shard = self._shard(number, path)
        done = 0
        for run in find_runs(bands):
            targets = values[done : done + len(run)]
            places = starts[run[0] : run[-1] + 2]
            wrong = read_run(shard, places, targets, sums[run[0] :])
            if wrong is not None:
                reason = f'wrong checksum of band {run[wrong] + 1} of {path}'
                raise RuntimeError(damaged(self.root / shard_name(number), reason))
            done += len(run)

    def _shard(self, number: int, path: Path | str) -> OpenShard:
        """Open a shard, or take one that is open."""
        shard = self._open.get(number)
        if shard is not None:
            return shard
        stored = self.manifest.shards[number]
        file = self.root / shard_name(number)
        if self.url is not None:
            fetch(self.url, self.root, shard_name(number), stored)
        try:
            shard = OpenShard(file)
            size = os.fstat(shard.number).st_size
        except OSError as error:
            reason = f'{error.strerror}; it holds {path}'
            raise RuntimeError(damaged(file, reason)) from None
        if size != stored.size:
            reason = f'{size} bytes, not {stored.size}; it holds {path}'
            raise RuntimeError(damaged(file, reason))
        # Another thread may have opened it as well, which costs no more than that.
        self._open[number] = shard
        for oldest in [*self._open][:-_NUM_OPEN]:
            self._open.pop(oldest, None)
        return shard


def _open_again(root: Path, url: str | None) -> Pack:
    return Pack(root, Manifest.read(root), url)

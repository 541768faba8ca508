"""Reading the rasters of a pack by the paths that they had in its source."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.errors import CRSError

from ..grid import RasterGrid
from ..rasters import require_bands
from ..run_record import FileStamp
from ..tiffs import RawBands, fits
from .codecs import FORMATS
from .manifest import (
    INDEX,
    MANIFEST,
    FolderRows,
    Manifest,
    RasterProfile,
    damaged,
    is_begun,
    require_link_inside,
    shard_name,
)
from .remote import fetch, find_url, local_path, open_mirror
from .shards import CheckedShard, OpenShards, ReadPlan, plan_reading, read_bands
from .table import StoredTable
from .tensors import find_fault

#: A raster's row in the table; positions of bands, counted from 1; how many it must
#: have, if that is known; where they go, if it fits.
type RowRequest = tuple[int, Sequence[int], int | None, np.ndarray | None]


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
    if is_begun(root):
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
        url: Where its files are fetched from, if they are.
    """

    def __init__(self, root: Path, manifest: Manifest, url: str | None = None) -> None:
        """Initialize a new Pack instance.

        Args:
            root: The pack; or the folder that keeps what is fetched of it.
            manifest: Its manifest.
            url: Where its files are fetched from, if they are.

        Raises:
            RuntimeError: If its table is damaged.
        """
        self.root = root
        self.manifest = manifest
        self.url = url
        self._prefix = '' if root == Path() else f'{root.as_posix()}/'
        try:
            self._table = StoredTable(root, INDEX, manifest)
        except ValueError as error:
            raise self.damaged(INDEX, str(error)) from None
        self._loaded: set[str] = set()  # folders whose rows were read
        self._shards = OpenShards(root, manifest, url, self._table.num_bands)
        self._is_raw = not FORMATS[manifest.format]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy to another process: it opens the same files."""
        return _open_again, (self.root, self.url, self.manifest.index.xxh3)

    def read_raw(
        self,
        path: Path | str,
        indexes: Sequence[int],
        num_bands: int | None = None,
        out: np.ndarray | None = None,
    ) -> RawBands:
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

    def read_rows(self, requests: Iterable[RowRequest]) -> list[RawBands]:
        """Read some bands of rasters that :meth:`find` has found.

        Args:
            requests: For each its row, and what :meth:`read_raw` is told.

        Returns:
            As :meth:`read_raw`.

        Raises:
            RuntimeError: As :meth:`read_raw`.
        """
        taken: dict[int, CheckedShard] = {}
        return [self._read(*each, taken) for each in requests]

    def _read(
        self,
        row: int,
        indexes: Sequence[int],
        num_bands: int | None,
        out: np.ndarray | None,
        taken: dict[int, CheckedShard],
    ) -> RawBands:
        profile = self._profile_at(row)
        if num_bands != profile.num_bands:
            require_bands(self._path(row), profile.num_bands, indexes, num_bands)
        plan = plan_reading(profile, tuple(indexes))
        if out is None or not fits(out, plan.shape, plan.dtype):
            out = np.empty(plan.shape, plan.dtype)
        number = self._table.columns['shard'].item(row)
        if number not in taken:
            shards = self._shards
            taken[number] = shards.take(number) or shards.open(number, self._path(row))
        self._fill(out, row, plan, taken[number])
        return RawBands(out, plan.nodata, profile.num_bands)

    def _fill(
        self, values: np.ndarray, row: int, plan: ReadPlan, taken: CheckedShard
    ) -> None:
        shard, checked = taken
        columns = self._table.columns
        start, first = columns['start'].item(row), columns['first'].item(row)
        are_checked = plan.are_checked(checked, first)
        for target, source, count in plan.ranges:
            bands = slice(first + source, first + source + count)
            if self._is_raw:
                size = plan.band_bytes
                places = [start + size * i for i in range(source, source + count + 1)]
            else:
                sizes = columns['size'][first : bands.stop].tolist()
                places = [*accumulate(sizes, initial=start)][source:]
            sums = None if are_checked else columns['sum'][bands].tolist()
            try:
                wrong = read_bands(shard, places, values[target : target + count], sums)
                fault = 'wrong checksum'
            except OSError as error:
                wrong, fault = 0, error.strerror or str(error)
            if wrong is not None:
                name = shard_name(columns['shard'].item(row))
                band = f'band {source + wrong + 1} of {self._path(row)}'
                raise self.damaged(name, f'{fault} of {band}')
            checked[bands] = b'\1' * count

    def find(self, path: Path | str) -> int:
        """Find a raster.

        Args:
            path: The raster: *root* and its path in the source.

        Returns:
            Its row in the table.

        Raises:
            RuntimeError: If it is missing; the message names it.
        """
        inner = str(path).replace(os.sep, '/').removeprefix(self._prefix)
        folder_name, _, name = inner.rpartition('/')
        folder = self._folder(folder_name)
        row = None if folder is None else self._table.find(folder, name)
        if row is None:
            raise RuntimeError(
                f'Expected a readable raster, got a missing one: {path} (not in the '
                f'pack); pack its source again.'
            )
        return row

    def profile(self, path: Path | str) -> RasterProfile:
        """Return what a raster has in common with others.

        Args:
            path: The raster: *root* and its path in the source.

        Returns:
            Properties that the raster has in common with others.

        Raises:
            RuntimeError: If it is missing; the message names it.
        """
        return self._profile_at(self.find(path))

    def grid(self, path: Path | str) -> RasterGrid:
        """Return the grid of a raster.

        Args:
            path: The raster: *root* and its path in the source.

        Returns:
            Its size, CRS and geotransform.

        Raises:
            RuntimeError: If it is missing, or its CRS is not understood; the message
                names it.
        """
        row = self.find(path)
        profile = self._profile_at(row)
        transform = Affine(*self._table.columns['transform'][row].tolist())
        try:
            crs = None if profile.crs is None else CRS.from_string(profile.crs)
        except CRSError:
            raise self.damaged(MANIFEST, f'no known CRS of {path}') from None
        return RasterGrid(crs, transform, profile.height, profile.width)

    def has_list(self, path: Path) -> bool:
        """Tell whether there is a file that is no raster.

        Args:
            path: The file, below *root*.

        Returns:
            True if there is.

        Raises:
            RuntimeError: If it is not what was packed, or is a link that leads out.
        """
        name = path.relative_to(self.root).as_posix()
        stored = self.manifest.lists.get(name)
        if stored is None and not path.is_file():
            return False
        try:
            require_link_inside(self.root, name)
            fault = stored and find_fault(path, stored)
        except ValueError as error:
            fault = str(error)
        if fault:
            raise self.damaged(name, fault)
        return True

    def names(self, folder: str) -> list[str]:
        """Return the names of the rasters in a folder.

        Args:
            folder: Its path from the root, with ``/``.

        Returns:
            Names, sorted.

        Raises:
            RuntimeError: If the table is damaged there.
        """
        rows = self._folder(folder)
        return [] if rows is None else [*self._table.names(rows)]

    def in_shard(self, number: int) -> Iterator[str]:
        """Yield the paths of the rasters that a shard holds, as in the source.

        Args:
            number: Number of the shard, from 0.

        Yields:
            Paths with ``/``.
        """
        shards = self._table.columns['shard']
        for name, (start, stop, _) in self.manifest.folders.items():
            names = self.names(name)
            held = np.flatnonzero(shards[start:stop] == number)
            yield from (f'{name}/{names[i]}'.lstrip('/') for i in held)

    def damaged(self, name: str, reason: str) -> RuntimeError:
        """Say that a file of the pack is not what was written.

        Args:
            name: The file, relative to the pack.
            reason: What is wrong with it.

        Returns:
            An error to raise.
        """
        return RuntimeError(damaged(self.root / name, reason, self.url))

    def _folder(self, name: str) -> FolderRows | None:
        """Return the rows of a folder, checked when it is asked for first."""
        folder = self.manifest.folders.get(name)
        if folder is not None and name not in self._loaded:
            try:
                self._table.load(folder)
            except ValueError as error:
                reason = f'{error} of folder {name or "."}'
                raise self.damaged(INDEX, reason) from None
            self._loaded.add(name)
        return folder

    def _path(self, row: int) -> Path:
        folders = self.manifest.folders.items()
        folder = next(name for name, f in folders if f.start <= row < f.stop)
        return self.root / folder / self._table.name(row)

    def _profile_at(self, row: int) -> RasterProfile:
        return self.manifest.profiles[self._table.columns['kind'].item(row)]


def _open_again(root: Path, url: str | None, digest: str) -> Pack:
    manifest = Manifest.read(root)
    if manifest.index.xxh3 != digest:
        raise RuntimeError(
            f'Expected the pack {root} as it was when it was opened, got another one '
            'that was made meanwhile; start again.'
        )
    return Pack(root, manifest, url)


def find_damage(
    pack: Pack, report: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[str]:
    """Read every byte of a pack and compare it with what was packed.

    Args:
        pack: The pack.
        report: Is told how many bytes of how many were read.

    Yields:
        What is wrong, with the shard, the raster and the band.
    """
    files, done = pack.manifest.files, 0
    first = len(files) - len(pack.manifest.shards)
    for number, (name, stored) in enumerate(files.items(), -first):
        yield from _compare(pack, name, stored, number)
        done += stored.size
        report(done, pack.manifest.num_bytes)


def _compare(pack: Pack, name: str, stored: FileStamp, shard: int) -> Iterator[str]:
    """Yield what is wrong with a file; *shard* is negative if it is none."""
    path = pack.root / name
    try:
        if pack.url is not None:
            fetch(pack.url, pack.root, name, stored)
        require_link_inside(pack.root, name)
        fault = find_fault(path, stored)
        if fault == 'wrong checksum':
            bands = [*_damaged_bands(pack, shard)] if shard >= 0 else []
            yield from bands or [damaged(path, fault, pack.url)]
        elif fault:
            paths = [*pack.in_shard(shard)] if shard >= 0 else []
            if paths:
                fault += f'; it holds {len(paths)} rasters, the first is {paths[0]}'
            yield damaged(path, fault, pack.url)
    except (OSError, RuntimeError, ValueError) as error:
        yield damaged(path, str(error), pack.url)


def _damaged_bands(pack: Pack, shard: int) -> Iterator[str]:
    """Yield which bands of a shard are not what was packed."""
    pack = Pack(pack.root, pack.manifest, pack.url)  # which has not checked any
    for path in pack.in_shard(shard):
        for index in range(1, pack.profile(path).num_bands + 1):
            try:
                pack.read_raw(path, [index])
            except RuntimeError as error:
                yield str(error)

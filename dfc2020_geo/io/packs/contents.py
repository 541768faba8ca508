"""What is in a pack: rasters, where on Earth they lie, and lists of splits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)

from ..grid import RasterGrid
from .manifest import INDEX, Folder, Kind, Manifest, damaged
from .shards import find_fault
from .table import Table


class Contents:
    """What a pack holds, by the paths that it had in the source.

    Attributes:
        root: The folder that stands for the root of the source.
        manifest: What is in the pack.
        url: Where its files are fetched from, if they are.
    """

    def __init__(self, root: Path, manifest: Manifest, url: str | None = None) -> None:
        """Initialize a new Contents instance.

        Args:
            root: The pack; or the folder that keeps what is fetched of it.
            manifest: Its manifest.
            url: Where its files are fetched from, if they are.

        Raises:
            RuntimeError: If the table is damaged.
        """
        self.root = root
        self.manifest = manifest
        self.url = url
        self._prefix = '' if root == Path() else f'{root}/'
        try:
            self._table = Table.read(root / INDEX, manifest.index)
        except ValueError as error:
            raise self.damaged(INDEX, str(error)) from None
        self._loaded: set[str] = set()  # folders whose rows were read

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

    def grid(self, path: Path | str) -> RasterGrid:
        """Return size, CRS and geotransform of a raster.

        Args:
            path: The raster: *root* and its path in the source.

        Returns:
            Its grid.

        Raises:
            RuntimeError: If it is missing; the message names it.
        """
        row = self.find(path)
        kind = self.kind_at(row)
        transform = Affine(*self._table.columns['transform'][row].tolist())
        crs = None if kind.crs is None else CRS.from_string(kind.crs)
        return RasterGrid(crs, transform, kind.height, kind.width)

    def folder(self, name: str) -> Folder | None:
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

    def has_list(self, path: Path) -> bool:
        """Tell whether there is a file that is no raster.

        Args:
            path: The file, below *root*.

        Raises:
            RuntimeError: If it is not what was packed.
        """
        name = path.relative_to(self.root).as_posix()
        stored = self.manifest.lists.get(name)
        if stored is None:
            return path.is_file()
        fault = find_fault(path, stored)
        if fault:
            raise self.damaged(name, fault)
        return True

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
        return self.kind_at(self.find(path))

    def in_shard(self, number: int) -> Iterator[str]:
        """Yield the paths of the rasters that a shard holds, as in the source."""
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

    def kind_at(self, row: int) -> Kind:
        """Return what the raster in a row of the table has in common with others."""
        return self.manifest.kinds[self._table.columns['kind'].item(row)]

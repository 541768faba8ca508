"""The files of the tree that is packed."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash

from ...rasters import SIDECAR

#: What may say where on Earth a raster lies, in place of its extension.
_WORLD = ('.tfw', '.tifw', '.tiffw', '.wld', '.tab')
#: How what lies beside a raster, and is read with it, ends.
BESIDE = (SIDECAR, *_WORLD)

#: Folders are entered down to this depth, deeper than datasets look.
_MAX_DEPTH = 7


class SourceFile(NamedTuple):
    """A file of a tree.

    Attributes:
        path: Its path below the root, with ``/``.
        size: Its size in bytes.
        time: When it was changed, in nanoseconds.
        beside: Files that are read with it.
    """

    path: str
    size: int
    time: int
    beside: 'tuple[SourceFile, ...]' = ()

    def has_changed(self, root: Path) -> bool:
        """Tell whether it, or what is read with it, has another size or time by now.

        Args:
            root: The tree.
        """
        for file in (self, *self.beside):
            try:
                status = os.stat(root / file.path)
            except OSError:
                return True
            if (status.st_size, status.st_mtime_ns) != (file.size, file.time):
                return True
        return False


def digest_files(files: Iterable[SourceFile]) -> str:
    """Return a checksum of names, sizes and times."""
    digest = xxhash.xxh3_64()
    for file in files:
        for path, size, time, _ in (file, *file.beside):
            digest.update(f'{path}\0{size}\0{time}\0'.encode())
    return digest.hexdigest()


def walk(root: Path) -> Iterator[tuple[str, os.DirEntry]]:
    """Find the files of a tree, without hidden ones.

    Args:
        root: The tree.

    Yields:
        Paths below the root, with ``/``, and what the system says of them: files, and
        folders in the root that may not be listed.

    Raises:
        PermissionError: If a folder below those may not be listed.
    """
    yield from _walk(root, '', [os.path.realpath(root)])


def _walk(
    root: Path, folder: str, above: list[str]
) -> Iterator[tuple[str, os.DirEntry]]:
    folders = []
    with os.scandir(root / folder) as entries:
        for entry in entries:
            # macOS leaves ._NAME beside NAME, and in zips a folder of those.
            if entry.name.startswith('.') or entry.name == '__MACOSX':
                continue
            path = f'{folder}/{entry.name}'.lstrip('/')
            if not entry.is_dir():
                yield path, entry
            elif os.access(entry.path, os.R_OK | os.X_OK):
                folders.append((path, os.path.realpath(entry.path)))
            # Disks have folders that only their administrator may list.
            elif not folder:
                yield path, entry
            else:
                raise PermissionError(
                    f'Expected folders that may be listed, got {entry.path}; allow '
                    'that, or move it out of the tree.'
                )
    if len(above) <= _MAX_DEPTH:
        for path, place in sorted(folders):
            if place not in above:  # else a circle of links
                yield from _walk(root, path, [*above, place])


def describe(path: str, entry: os.DirEntry) -> SourceFile:
    """Describe a file that :func:`walk` has found.

    Args:
        path: Its path below the root.
        entry: What the system says of it.

    Returns:
        Its description.

    Raises:
        FileNotFoundError: If it is none.
    """
    if not entry.is_file():  # a pipe, which would be waited for
        raise FileNotFoundError(
            f'Expected files, got a link to nothing, or what is none: {entry.path}; '
            'remove it.'
        )
    status = entry.stat()
    return SourceFile(path, status.st_size, status.st_mtime_ns)


def join_beside(
    rasters: list[SourceFile], others: Iterable[SourceFile]
) -> list[SourceFile]:
    """Join rasters with what is read with them.

    Args:
        rasters: Rasters.
        others: Other files, whose names end in one of :data:`BESIDE`.

    Returns:
        The rasters, in their order.
    """
    found = {file.path.lower(): file for file in others}
    if not found:
        return rasters
    joined = []
    for raster in rasters:
        name = raster.path.lower()
        stem = os.path.splitext(name)[0]
        names = [f'{name}{SIDECAR}', *(f'{stem}{end}' for end in _WORLD)]
        beside = tuple(found[other] for other in names if other in found)
        joined.append(raster._replace(beside=beside))
    return joined


def require_text(root: Path, path: str) -> None:
    """Refuse names that manifests cannot hold.

    Args:
        root: The tree.
        path: A path below it.

    Raises:
        ValueError: If it is no text.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f'Expected names of files that are text, got {path!a} in {root}; rename it.'
        ) from None

"""The files of a tree that is packed, and which of them go into which shard.

All of it is decided before any file is read.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from ...rasters import SIDECAR
from ...safe_names import find_name_fault
from ..manifest import LISTS, MANIFEST, is_begun, is_own_file

#: What may say where on Earth a raster lies, in place of its extension.
_WORLD = ('.tfw', '.tifw', '.tiffw', '.wld', '.tab')
#: How what lies beside a raster, and is read with it, ends.
BESIDE = (SIDECAR, *_WORLD)

#: Folders are entered down to this depth, deeper than datasets look.
_MAX_DEPTH = 7
_RASTERS = ('.tif', '.tiff')
#: What tells the files of a patch from each other.
_SENSOR = re.compile(r'(?<![A-Za-z0-9])(s1|s2|lc|dfc)(?=[_/])', re.IGNORECASE)


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

        Returns:
            True if it has.
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
    """Return a checksum of names, sizes and times.

    Args:
        files: Files of the source.

    Returns:
        Checksum, hexadecimal.
    """
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


def _require_name(root: Path, path: str) -> None:
    """Refuse names that packs may not have, because they could lead elsewhere."""
    fault = find_name_fault(path)
    if fault:
        raise ValueError(
            f'Expected plain names of files, got {path!a} with {fault} in {root}; '
            'rename it.'
        )


@dataclass(frozen=True)
class PackPlan:
    """What is packed, and how.

    Attributes:
        root: The tree.
        format: One of the formats of packs.
        shard_size: About how many bytes of the tree are in a shard.
        shards: The rasters of each shard, in their order.
        lists: Other files that are copied.
        others: Number of files that are left out.
        closed: Folders that are left out because they may not be listed.
    """

    root: Path
    format: str
    shard_size: int
    shards: list[list[SourceFile]]
    lists: list[SourceFile]
    others: int
    closed: list[str]

    @property
    def num_bytes(self) -> int:
        """Size of all that is packed."""
        return sum(file.size for file in self._files())

    def _files(self) -> Iterator[SourceFile]:
        for shard in self.shards:
            yield from shard
        yield from self.lists

    def describe_source(self) -> dict[str, Any]:
        """Describe the tree, so that another one, or a change, is seen.

        Returns:
            Plain values for the record of the run.
        """
        names = xxhash.xxh3_64()
        for file in self._files():
            names.update(f'{file.path}\0'.encode())
        return {
            'files': sum(map(len, self.shards)) + len(self.lists),
            'bytes': self.num_bytes,
            'names': names.hexdigest(),
            'times': digest_files(self._files()),
        }


def plan_pack(root: Path, out: Path, name: str, shard_size: int) -> PackPlan:
    """Decide what goes into which shard.

    Args:
        root: The tree.
        out: Folder of the pack.
        name: Format of the pack.
        shard_size: About how many bytes of the tree shall be in a shard.

    Returns:
        The plan: the files of a patch are in one shard, beside each other.

    Raises:
        FileNotFoundError: If there are no rasters, or a link leads to none.
        PermissionError: If a folder of the tree's folders may not be listed.
        ValueError: If the tree is a pack, the pack would lie in the tree, or a name
            cannot be in a pack.
    """
    _require_apart(root, out)
    rasters, lists, beside, closed, others = [], [], [], [], 0
    for path, entry in walk(root):
        _require_name(root, path)
        if entry.is_dir():
            closed.append(path)
        elif path.lower().endswith(_RASTERS):
            rasters.append(describe(path, entry))
        elif path.lower().endswith(LISTS):
            lists.append(describe(path, entry))
        else:
            others += 1
            if path.lower().endswith(BESIDE) and entry.is_file():
                beside.append(describe(path, entry))
    clash = next((file.path for file in lists if is_own_file(file.path)), None)
    if clash:
        raise ValueError(f'Expected other names than those of packs, got {clash}.')
    if not rasters:
        raise FileNotFoundError(
            f'Expected GeoTIFFs in {root} or in its folders, got {len(lists) + others} '
            'other files; set --root to the folder of a data set.'
        )
    shards = _divide(join_beside(rasters, beside), shard_size)
    return PackPlan(
        root, name, shard_size, shards, sorted(lists), others, sorted(closed)
    )


def _require_apart(root: Path, out: Path) -> None:
    if not root.is_dir():
        found = 'a file' if root.exists() else 'no such folder'
        raise FileNotFoundError(
            f'Expected a folder of GeoTIFFs, got {found}: {root}; set --root to the '
            'folder of a data set.'
        )
    if (root / MANIFEST).exists() or is_begun(root):
        raise ValueError(f'Expected a tree of GeoTIFFs, got a pack: {root}.')
    source, pack = root.resolve(), out.resolve()
    if pack.is_relative_to(source) or source.is_relative_to(pack):
        raise ValueError(
            f'Expected --out beside the tree, got {out} and {root}, one in the other; '
            'choose another folder.'
        )


def _divide(rasters: list[SourceFile], shard_size: int) -> list[list[SourceFile]]:
    """Divide rasters into shards, between patches."""
    keyed = sorted((_SENSOR.sub('', file.path), file) for file in rasters)
    shards: list[list[SourceFile]] = []
    size, last = shard_size, None
    for key, file in keyed:
        patch = os.path.splitext(key)[0]
        if size >= shard_size and patch != last:
            shards.append([])
            size = 0
        shards[-1].append(file)
        size, last = size + file.size, patch
    return shards

"""Which files of a tree go into which shard: decided before any is read."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from ..manifest import INDEX, MANIFEST, SHARDS, UNFINISHED
from .source import (
    BESIDE,
    SourceFile,
    describe,
    digest_files,
    join_beside,
    require_text,
    walk,
)

_RASTERS = ('.tif', '.tiff')
#: Lists of splits, without which a data set cannot be divided.
_LISTS = ('.txt', '.csv')
#: What tells the files of a patch from each other.
_SENSOR = re.compile(r'(?<![A-Za-z0-9])(s1|s2|lc|dfc)(?=[_/])', re.IGNORECASE)


@dataclass(frozen=True)
class Plan:
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
        """Describe the tree, so that another one, or a change, is seen."""
        names = xxhash.xxh3_64()
        for file in self._files():
            names.update(f'{file.path}\0'.encode())
        return {
            'files': sum(map(len, self.shards)) + len(self.lists),
            'bytes': self.num_bytes,
            'names': names.hexdigest(),
            'times': digest_files(self._files()),
        }


def plan_pack(root: Path, out: Path, name: str, shard_size: int) -> Plan:
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
        ValueError: If the tree is a pack, the pack would lie in the tree, or a name is
            no text.
    """
    _require_apart(root, out)
    rasters, lists, beside, closed, others = [], [], [], [], 0
    for path, entry in walk(root):
        require_text(root, path)
        if entry.is_dir():
            closed.append(path)
        elif path.lower().endswith(_RASTERS):
            rasters.append(describe(path, entry))
        elif path.lower().endswith(_LISTS):
            lists.append(describe(path, entry))
        else:
            others += 1
            if path.lower().endswith(BESIDE) and entry.is_file():
                beside.append(describe(path, entry))
    if not rasters:
        raise FileNotFoundError(
            f'Expected GeoTIFFs in {root} or in its folders, got {len(lists) + others} '
            'other files; set --root to the folder of a data set.'
        )
    shards = _divide(join_beside(rasters, beside), shard_size)
    return Plan(root, name, shard_size, shards, sorted(lists), others, sorted(closed))


def _require_apart(root: Path, out: Path) -> None:
    if not root.is_dir():
        found = 'a file' if root.exists() else 'no such folder'
        raise FileNotFoundError(
            f'Expected a folder of GeoTIFFs, got {found}: {root}; set --root to the '
            'folder of a data set.'
        )
    if (root / MANIFEST).exists() or (root / UNFINISHED).exists():
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


def find_clash(lists: list[SourceFile]) -> str | None:
    """Return a list that lies where a pack has its own files, if there is one."""
    own = (MANIFEST, INDEX, f'{SHARDS}/', f'{UNFINISHED}/')
    return next((file.path for file in lists if file.path.startswith(own)), None)

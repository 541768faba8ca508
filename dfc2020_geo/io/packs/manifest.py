"""What is in a pack: ``pack.json``, and what the rasters of a pack have in common."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import xxhash

from ..atomic import write_text

#: The file that makes a folder a pack; written last.
MANIFEST = 'pack.json'
#: Folder of what a pack that is not finished has to remember.
UNFINISHED = 'pack.unfinished'
#: Folder of the shards.
SHARDS = 'shards'
#: The table of rasters, beside the shards.
INDEX = f'{SHARDS}/index.safetensors'

_VERSION = 1


class Kind(NamedTuple):
    """What many rasters of a pack have in common.

    Attributes:
        num_bands: Number of bands.
        height: Number of rows.
        width: Number of columns.
        dtype: Name of the type of the values in the pack.
        source_dtype: Name of their type in the source.
        nodata: The value that the source declares as no data, as text.
        crs: Coordinate reference system, as a text that rasterio reads.
    """

    num_bands: int
    height: int
    width: int
    dtype: str
    source_dtype: str
    nodata: str | None
    crs: str | None


class Stored(NamedTuple):
    """A file of a pack: its size in bytes, and the checksum of those."""

    size: int
    digest: str


class Folder(NamedTuple):
    """The rasters of a folder: rows of the table, and the checksum of those."""

    start: int
    stop: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """What is in a pack.

    Attributes:
        format: One of :data:`~dfc2020_geo.io.packs.codecs.FORMATS`.
        shard_size: About how many bytes of the source are in a shard.
        source: Number, bytes, names and times of the source's files.
        kinds: The kinds of rasters, which the table counts.
        folders: The folders that hold rasters, with ``/``.
        shards: The shards in their order.
        index: The table of rasters.
        lists: Other files of the source, by path.
    """

    format: str
    shard_size: int
    source: dict[str, Any]
    kinds: list[Kind]
    folders: dict[str, Folder]
    shards: list[Stored]
    index: Stored
    lists: dict[str, Stored]

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the manifest of a pack.

        Args:
            root: The pack.

        Returns:
            Its content.

        Raises:
            RuntimeError: If it is damaged, or of another version.
        """
        path = root / MANIFEST
        try:
            text = path.read_text('utf-8')
            stored = json.loads(text)
            content = stored['pack']
            version, digest = stored['version'], stored['digest']
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeError(damaged(path, f'{error!r}')) from None
        if version != _VERSION:
            raise RuntimeError(
                f'Expected a pack of version {_VERSION}, got {version} in {path}; '
                'read it with the version of dfc2020-geo that made it, or pack anew.'
            )
        if digest != _digest(content) or text != _as_text(stored):
            raise RuntimeError(damaged(path, 'wrong checksum'))
        return cls(
            **content
            | {
                'kinds': [Kind(*kind) for kind in content['kinds']],
                'folders': {k: Folder(*v) for k, v in content['folders'].items()},
                'shards': [Stored(*shard) for shard in content['shards']],
                'index': Stored(*content['index']),
                'lists': {k: Stored(*v) for k, v in content['lists'].items()},
            }
        )

    def write(self, root: Path) -> None:
        """Write the manifest, which makes a pack of a folder.

        Args:
            root: The folder.
        """
        content = asdict(self)
        stored = {'version': _VERSION, 'digest': _digest(content), 'pack': content}
        write_text(root / MANIFEST, _as_text(stored))

    @property
    def files(self) -> dict[str, Stored]:
        """All files of the pack but the manifest, by path; the shards come last."""
        shards = {shard_name(number): s for number, s in enumerate(self.shards)}
        return {INDEX: self.index, **self.lists, **shards}

    @property
    def num_bytes(self) -> int:
        """Size of all files of the pack but the manifest."""
        return sum(stored.size for stored in self.files.values())


def _as_text(stored: dict[str, Any]) -> str:
    return json.dumps(stored) + '\n'


def _digest(content: dict[str, Any]) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(content, sort_keys=True).encode())


def damaged(path: Path | str, reason: str, url: str | None = None) -> str:
    """Say that a file of a pack is not what was written.

    Args:
        path: The file.
        reason: What is wrong with it.
        url: Where the pack is, if the file was fetched from there.

    Returns:
        A message for the user.
    """
    advice = (
        'copy it again from where it is whole, or delete the pack and pack its source '
        'again'
        if url is None
        else f'delete it, and it is fetched again from {url}'
    )
    return f'Expected {path} as it was packed, got a damaged one ({reason}); {advice}.'


def shard_name(number: int) -> str:
    """Name a shard, relative to the pack."""
    return f'{SHARDS}/{number:05}.safetensors'


def band_bytes(kind: Kind) -> int:
    """Return the size of a band in bytes, as it is in memory."""
    return kind.height * kind.width * np.dtype(kind.dtype).itemsize

"""The manifest of a pack, ``pack.json``: its rasters, shards and lists of splits."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

import numpy as np
import xxhash

from ..atomic import write_text
from ..run_record import FileStamp, RunRecord
from ..safe_names import find_name_fault, leads_out
from .codecs import FORMATS
from .tensors import TYPES

#: The file that makes a folder a pack; written last.
MANIFEST = 'pack.json'
#: Folder of the shards.
SHARDS = 'shards'
#: The table of rasters, beside the shards.
INDEX = f'{SHARDS}/index.safetensors'

#: Extensions of the lists of splits, which are copied.
LISTS = ('.txt', '.csv')

#: Version of the format, in each manifest; raised when old packs cannot be read.
VERSION = 1

#: Bytes of a manifest; that of SEN12MS has a ten-thousandth of this for each season.
MAX_MANIFEST = 1 << 25
#: Bytes of a list of splits, which is read as one text.
MAX_LIST = 1 << 26
#: Bytes of a band.
MAX_BAND = (1 << 32) - 1
_MAX_BANDS = 65_535

#: Attributes that have another name in the file.
_KEYS = {'profiles': 'kinds'}

_DIGEST = re.compile('[0-9a-f]{16}')
#: A CRS as packs name it: by an authority's code, or as WKT. Other texts may be files or
#: URLs to GDAL.
_CRS = re.compile(r'[A-Z][A-Z0-9]*:[A-Z0-9]+|[A-Z][A-Z0-9_]*\[.*\]', re.DOTALL)


class RasterProfile(NamedTuple):
    """What many rasters of a pack have in common.

    Attributes:
        num_bands: Number of bands.
        height: Number of rows.
        width: Number of columns.
        dtype: Name of the type of the values in the pack.
        source_dtype: Name of their type in the source.
        nodata: The value that the source declares as no data, as text.
        crs: Coordinate reference system: authority and code, or WKT.
    """

    num_bands: int
    height: int
    width: int
    dtype: str
    source_dtype: str
    nodata: str | None
    crs: str | None

    @property
    def band_bytes(self) -> int:
        """Size of a band in memory, in bytes."""
        return self.height * self.width * np.dtype(self.dtype).itemsize


class FolderRows(NamedTuple):
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
        profiles: The profiles of rasters, which the table counts.
        folders: The folders that hold rasters, with ``/``.
        shards: The shards in their order.
        index: The table of rasters.
        lists: Other files of the source, by path.
    """

    format: str
    shard_size: int
    source: dict[str, Any]
    profiles: list[RasterProfile]
    folders: dict[str, FolderRows]
    shards: list[FileStamp]
    index: FileStamp
    lists: dict[str, FileStamp]

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the manifest of a pack.

        Args:
            root: The pack.

        Returns:
            Its content, each value of the right type, each name inside the pack.

        Raises:
            RuntimeError: If it is damaged or malformed, or of another version.
        """
        path = root / MANIFEST
        try:
            require_link_inside(root, MANIFEST)
            size = os.stat(path).st_size
            _require(size <= MAX_MANIFEST, f'{size} bytes, more than {MAX_MANIFEST}')
            text = path.read_bytes().decode()
            stored = json.loads(text)
            _require(isinstance(stored, dict), 'no table of names')
            version = stored.get('version')
        except (ValueError, OSError, RecursionError) as error:
            reason = getattr(error, 'strerror', None) or _shorten(str(error))
            raise RuntimeError(damaged(path, reason)) from None
        if version != VERSION or type(version) is not int:
            raise RuntimeError(
                f'Expected a pack of version {VERSION}, got {_shorten(repr(version))} in '
                f'{path}; read it with the version of dfc2020-geo that made it, or pack '
                'anew.'
            )
        try:
            _require(set(stored) == {'version', 'digest', 'pack'}, 'other entries')
            content = stored['pack']
            same = stored['digest'] == _digest(content) and text == _as_text(stored)
            _require(same, 'wrong checksum')
            return cls(**_parse(content))
        except (ValueError, RecursionError) as error:
            raise RuntimeError(damaged(path, _shorten(str(error)))) from None

    def write(self, root: Path) -> None:
        """Write the manifest, which makes a pack of a folder.

        Args:
            root: The folder.
        """
        content = {_KEYS.get(name, name): v for name, v in asdict(self).items()}
        stored = {'version': VERSION, 'digest': _digest(content), 'pack': content}
        write_text(root / MANIFEST, _as_text(stored))

    @property
    def files(self) -> dict[str, FileStamp]:
        """All files of the pack but the manifest, by path; the shards come last."""
        shards = {shard_name(number): s for number, s in enumerate(self.shards)}
        return {INDEX: self.index, **self.lists, **shards}

    @property
    def num_bytes(self) -> int:
        """Size of all files of the pack but the manifest."""
        return sum(stored.size for stored in self.files.values())


def _parse(content: Any) -> dict[str, Any]:
    """Check each value of a manifest, and make the types of it."""
    wanted = {
        'format': _parse_format,
        'shard_size': lambda value: _parse_int(value, 'shard_size', 1),
        'source': _parse_source,
        'kinds': lambda value: _parse_list(value, 'kinds', _parse_profile),
        'folders': lambda value: _parse_table(value, 'folders', _parse_folder),
        'shards': lambda value: _parse_list(value, 'shards', _parse_file),
        'index': lambda value: _parse_file(value, 'index'),
        'lists': lambda value: _parse_table(value, 'lists', _parse_file),
    }
    names = content if isinstance(content, dict) else {}
    missing = [name for name in wanted if name not in names]
    _require(not missing, f'no {", ".join(missing)}')
    _require(len(names) == len(wanted), f'more entries than {", ".join(wanted)}')
    parsed: dict[str, Any] = {
        name: parse(content[name]) for name, parse in wanted.items()
    }
    for name in parsed['folders']:
        fault = find_name_fault(name) if name else None
        _require(not fault, f'the folder {name!a} has {fault}')
    above = set[str]()
    for name, stored in parsed['lists'].items():
        fault = find_name_fault(name)
        _require(not fault, f'the list {name!a} has {fault}')
        _require(name.lower().endswith(LISTS), f'{name!a} among the lists')
        _require(not is_own_file(name), f'a list in the place of {name}')
        _require(stored.size <= MAX_LIST, f'{stored.size} bytes in the list {name}')
        above.update(str(path) for path in PurePosixPath(name).parents)
    both = above & {*parsed['lists']}
    _require(not both, f'a list and a folder of the name {min(both, default="")!a}')
    return {'profiles': parsed.pop('kinds'), **parsed}


def _parse_format(value: Any) -> str:
    _require(isinstance(value, str) and value in FORMATS, f'the format {value!a}')
    return value


def _parse_source(value: Any) -> dict[str, Any]:
    names = ('files', 'bytes', 'names', 'times')
    found = value if isinstance(value, dict) else {}
    _require(set(found) == {*names}, f'other entries than {", ".join(names)} of source')
    for name in names[:2]:
        _parse_int(found[name], name)
    for name in names[2:]:
        _require(isinstance(found[name], str), f'{name} {found[name]!a}')
    return found


def _parse_profile(value: Any, what: str) -> RasterProfile:
    profile = RasterProfile(*_parse_row(value, what, len(RasterProfile._fields)))
    for size in profile[:3]:
        _parse_int(size, what, 1)
    types = TYPES.values()
    texts = (profile.nodata, profile.crs)
    _require(
        profile.num_bands <= _MAX_BANDS
        and profile.dtype in types
        and isinstance(profile.source_dtype, str)
        and all(text is None or isinstance(text, str) for text in texts)
        and (profile.crs is None or _CRS.fullmatch(profile.crs) is not None)
        and profile.band_bytes <= MAX_BAND,
        f'{what} {value!a}',
    )
    if profile.nodata is not None:
        float(profile.nodata)
    return profile


def _parse_folder(value: Any, what: str) -> FolderRows:
    start, stop, digest = _parse_row(value, what, 3)
    _parse_int(start, what)
    _parse_int(stop, what, start + 1)
    return FolderRows(start, stop, _parse_digest(digest, what))


def _parse_file(value: Any, what: str) -> FileStamp:
    size, digest = _parse_row(value, what, 2)
    return FileStamp(_parse_int(size, what), _parse_digest(digest, what))


def _parse_list[T](value: Any, what: str, parse: Callable[[Any, str], T]) -> list[T]:
    _require(isinstance(value, list), f'{what} {value!a}')
    return [parse(item, what) for item in value]


def _parse_table[T](
    value: Any, what: str, parse: Callable[[Any, str], T]
) -> dict[str, T]:
    _require(isinstance(value, dict), f'{what} {value!a}')
    return {name: parse(item, what) for name, item in value.items()}


def _parse_row(value: Any, what: str, length: int) -> list[Any]:
    fits = isinstance(value, list) and len(value) == length
    _require(fits, f'{value!a} among {what}')
    return value


def _parse_int(value: Any, what: str, least: int = 0) -> int:
    # Bytes of a file have 63 bits; True is a number to Python.
    fits = type(value) is int and least <= value < 1 << 63
    _require(fits, f'{value!a} among {what}')
    return value


def _parse_digest(value: Any, what: str) -> str:
    fits = isinstance(value, str) and _DIGEST.fullmatch(value)
    _require(bool(fits), f'the checksum {value!a} among {what}')
    return value


def _require(condition: bool, fault: str) -> None:
    if not condition:
        raise ValueError(fault)


def _shorten(text: str) -> str:
    """Keep a message to one line."""
    line = ' '.join(ascii(text)[1:-1].split())
    return line if len(line) < 200 else f'{line[:200]}...'


def _as_text(stored: dict[str, Any]) -> str:
    return json.dumps(stored) + '\n'


def _digest(content: Any) -> str:
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


def require_link_inside(root: Path, name: str) -> None:
    """Refuse a file of a pack that is a link to somewhere else.

    Args:
        root: The pack.
        name: The file, relative to the pack.

    Raises:
        ValueError: If it leads out of the pack.
    """
    if leads_out(root, name):
        raise ValueError('a link that leads out of the pack')


def is_own_file(name: str) -> bool:
    """Tell whether a file lies where packs have files of their own.

    Args:
        name: The file, relative to the pack.

    Returns:
        True if it does.
    """
    return name.startswith((MANIFEST, f'{SHARDS}/'))


def is_begun(root: Path) -> bool:
    """Tell whether a folder holds a pack that is not finished.

    Args:
        root: The folder.

    Returns:
        Whether the record of such a run is there.
    """
    try:
        found = RunRecord(root, {}).find()
    except (OSError, RuntimeError, ValueError):  # of something else
        return False
    return found is not None and 'shard_size' in found.settings


def shard_name(number: int) -> str:
    """Name a shard, relative to the pack.

    Args:
        number: Number of the shard, from 0.

    Returns:
        Path such as ``shards/00000.safetensors``.
    """
    return f'{SHARDS}/{number:05}.safetensors'

"""Packs on other machines: their files are fetched when they are needed, and kept."""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import xxhash

from ..atomic import UNFINISHED
from ..cache_dir import CACHE_VARIABLE, cache_folder
from .manifest import INDEX, MANIFEST, Manifest, Stored
from .shards import digest_file

#: Seconds to wait before fetching is tried once more.
_WAITS = (0.5, 2.0)
_CHUNK = 1 << 22

#: A path is taken for a URL that has lost a slash, as pathlib makes of it.
_URL = re.compile(
    r'(?P<scheme>[A-Za-z][A-Za-z0-9+.:-]+):/{1,3}(?P<rest>[^/].*)', re.DOTALL
)


#: Schemes of this machine's own files.
_HERE = ('file', 'local')


def find_url(root: Path | str) -> str | None:
    """Tell whether a root is on another machine.

    Args:
        root: What a user gave.

    Returns:
        Its URL, None if it is a folder of this machine.
    """
    match = _URL.fullmatch(str(root))
    if match is None or match['scheme'] in _HERE or os.path.isdir(root):
        return None
    return f'{match["scheme"]}://{match["rest"]}'.rstrip('/')


def local_path(root: Path | str) -> Path:
    """Return the folder that a root of this machine names."""
    text = str(root)
    scheme = next((s for s in _HERE if text.startswith(f'{s}:/')), None)
    return Path(text[len(scheme) + 1 :] if scheme else text).expanduser()


def open_mirror(url: str) -> tuple[Path, Manifest]:
    """Fetch what is needed to open a pack: all but its shards.

    Args:
        url: The pack.

    Returns:
        The folder in which its files are kept, and its manifest.

    Raises:
        FileNotFoundError: If there is no pack.
        OSError: If nothing can be kept.
        RuntimeError: If something cannot be fetched, or is damaged.
        ValueError: If nothing shall be kept.
    """
    packs = _packs_folder(url)
    with tempfile.TemporaryDirectory(dir=packs) as folder:
        new = Path(folder) / MANIFEST
        _fetch(f'{url}/{MANIFEST}', new, None)
        manifest = Manifest.read(new.parent)
        # A pack that is made anew under the same name is another pack.
        key = xxhash.xxh3_64_hexdigest(url.encode() + new.read_bytes())
        mirror = packs / f'{url.rpartition("/")[2]}-{key}'
        mirror.mkdir(exist_ok=True)
        os.replace(new, mirror / MANIFEST)
    for name, stored in {INDEX: manifest.index, **manifest.lists}.items():
        fetch(url, mirror, name, stored)
    return mirror, manifest


def _packs_folder(url: str) -> Path:
    """Make the folder of what is fetched."""
    cache = cache_folder()
    advice = f'set {CACHE_VARIABLE} to a folder with room for the pack.'
    if cache is None:
        raise ValueError(
            f'Expected a folder for what is fetched of {url}, got none; {advice}'
        )
    packs = cache / 'packs'
    try:
        packs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=packs):
            return packs
    except OSError as error:
        raise OSError(
            f'Expected a folder that can be written to for what is fetched of {url}, '
            f'got {packs} ({error.strerror}); {advice}'
        ) from error


def fetch(url: str, mirror: Path, name: str, stored: Stored) -> None:
    """Make sure that a file of a pack is there; others may do so at the same time.

    Args:
        url: The pack.
        mirror: The folder in which its files are kept.
        name: The file, relative to the pack.
        stored: Its size and checksum.

    Raises:
        RuntimeError: If it cannot be fetched, or not as it was packed.
    """
    path = mirror / name
    if _is_there(path, stored.size):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(path):
        if not _is_there(path, stored.size):
            _fetch(f'{url}/{name}', path, stored)


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


@contextmanager
def _one_at_a_time(path: Path) -> Generator[None]:
    """Let one thread of one process fetch a file; the lock ends with the process."""
    with open(f'{path}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(source: str, path: Path, stored: Stored | None) -> None:
    """Fetch a file, complete or not at all."""
    for wait in (*_WAITS, None):
        try:
            _fetch_once(source, path, stored)
            return
        # Filesystems have errors of their own kinds.
        except Exception as error:
            origin = _origin(error)
            missing = getattr(origin, 'status', None) == HTTPStatus.NOT_FOUND
            if missing or isinstance(origin, FileNotFoundError):
                raise FileNotFoundError(
                    f'Expected a pack with {path.name}, got nothing at {source}. Name '
                    f'the folder that holds {MANIFEST}, and see that all of it was '
                    'copied.'
                ) from error
            if wait is None:
                raise RuntimeError(
                    f'Expected {source} to be fetched to {path}, got '
                    f'{type(origin).__name__}: {origin}; see that it can be reached and '
                    'that there is room, or copy the pack to this machine.'
                ) from error
            time.sleep(wait)


def _origin(error: BaseException) -> BaseException:
    """Find out what failed: fsspec calls files missing whose server is not there."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _fetch_once(source: str, path: Path, stored: Stored | None) -> None:
    number, unfinished = tempfile.mkstemp(UNFINISHED, dir=path.parent)
    os.close(number)
    try:
        _copy(source, unfinished)
        _require(Path(unfinished), source, stored)
        os.replace(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _copy(source: str, path: str) -> None:
    # Seconds to load, and of no use to packs of this machine.
    import fsspec

    with fsspec.open(source, 'rb') as remote, open(path, 'wb') as local:
        while chunk := remote.read(_CHUNK):
            local.write(chunk)


def _require(path: Path, source: str, stored: Stored | None) -> None:
    if stored is None:
        return
    size = path.stat().st_size
    if size != stored.size:
        raise RuntimeError(f'Expected {stored.size} bytes of {source}, got {size}.')
    if digest_file(path) != stored.digest:
        raise RuntimeError(f'Expected {source} as it was packed, got other bytes.')

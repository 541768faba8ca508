"""Packs at URLs: their files are fetched when they are needed, checked, and kept.

fsspec's caching file systems do not serve: they write to the final name, so that what a
killed process leaves is taken for a whole file, and each process fetches anew.
"""

import os
import re
import shutil
import tempfile
import time
from http import HTTPStatus
from pathlib import Path

import filelock
import xxhash

from ..atomic import UNFINISHED
from ..run_record import FileStamp
from .manifest import INDEX, MANIFEST, MAX_MANIFEST, Manifest
from .tensors import find_fault

#: Environment variable that names the folder of what is kept of packs at URLs.
CACHE_VARIABLE = 'DFC2020_GEO_CACHE'

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
    """Return the folder that a root of this machine names.

    Args:
        root: A path, or a ``file://`` URL.

    Returns:
        Path of the folder.
    """
    text = str(root)
    scheme = next((s for s in _HERE if text.startswith(f'{s}:/')), None)
    return Path(text[len(scheme) + 1 :] if scheme else text).expanduser()


def cache_folder() -> Path | None:
    """Name the folder of what is kept of packs at URLs; it may be deleted at any time.

    Returns:
        What :data:`CACHE_VARIABLE` says, else ``dfc2020-geo`` in ``$XDG_CACHE_HOME`` or
        in ``~/.cache``. None if nothing shall be kept (``0``), or there is no home.
    """
    chosen = os.environ.get(CACHE_VARIABLE, '')
    if chosen:
        return None if chosen == '0' else Path(chosen).expanduser()
    try:
        # A relative one is to be ignored (XDG Base Directory Specification).
        shared = Path(os.environ.get('XDG_CACHE_HOME', ''))
        shared = shared if shared.is_absolute() else Path.home() / '.cache'
    except RuntimeError:  # containers run as users without a home
        return None
    return shared / 'dfc2020-geo'


def open_mirror(url: str) -> tuple[Path, Manifest]:
    """Fetch what is needed to open a pack: all but its shards.

    Args:
        url: The pack.

    Returns:
        The folder in which its files are kept, and its manifest.

    Raises:
        FileNotFoundError: If there is no pack.
        OSError: If nothing can be kept.
        RuntimeError: If something cannot be fetched, or is damaged or malformed.
        ValueError: If nothing shall be kept.
    """
    packs = _packs_folder(url)
    with tempfile.TemporaryDirectory(dir=packs) as folder:
        new = Path(folder) / MANIFEST
        _fetch(f'{url}/{MANIFEST}', new, None)
        try:
            manifest = Manifest.read(new.parent)
        except RuntimeError as error:
            # It is not kept, so that there is nothing to delete.
            told = str(error).replace(str(new), f'{url}/{MANIFEST}')
            raise RuntimeError(told) from None
        # A pack that is made anew under the same name is another pack.
        key = xxhash.xxh3_64_hexdigest(url.encode() + new.read_bytes())
        name = re.sub('[^A-Za-z0-9._-]', '_', url.rpartition('/')[2])[-100:]
        mirror = packs / f'{name}-{key}'
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


def fetch(url: str, mirror: Path, name: str, stored: FileStamp) -> None:
    """Make sure that a file of a pack is there; others may do so at the same time.

    Args:
        url: The pack.
        mirror: The folder in which its files are kept.
        name: The file, relative to the pack, as a manifest that was read has it.
        stored: Its size and checksum.

    Raises:
        RuntimeError: If it cannot be fetched, or not as it was packed.
    """
    path = mirror / name
    if _is_there(path, stored.size):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # One thread of one process fetches; the lock ends with the process.
    with filelock.FileLock(f'{path}.lock'):
        if not _is_there(path, stored.size):
            free = shutil.disk_usage(mirror).free
            if stored.size > free:
                raise RuntimeError(
                    f'Expected room for the {stored.size} bytes of {url}/{name}, got '
                    f'{free} in {mirror}; make room, or set {CACHE_VARIABLE} to '
                    'another folder.'
                )
            _fetch(f'{url}/{name}', path, stored)


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _fetch(source: str, path: Path, stored: FileStamp | None) -> None:
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


def _fetch_once(source: str, path: Path, stored: FileStamp | None) -> None:
    number, unfinished = tempfile.mkstemp(UNFINISHED, dir=path.parent)
    os.close(number)
    try:
        _copy(source, unfinished, MAX_MANIFEST if stored is None else stored.size)
        if stored is not None and (fault := find_fault(Path(unfinished), stored)):
            raise RuntimeError(f'Expected {source} as it was packed, got {fault}.')
        os.replace(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _copy(source: str, path: str, most: int) -> None:
    """Copy a file, of which no more bytes are taken than it may have."""
    # Seconds to load, and of no use to packs of this machine.
    import fsspec

    with fsspec.open(source, 'rb') as remote, open(path, 'wb') as local:
        while chunk := remote.read(_CHUNK):
            if local.tell() + len(chunk) > most:
                raise RuntimeError(f'Expected {most} bytes of {source}, got more.')
            local.write(chunk)

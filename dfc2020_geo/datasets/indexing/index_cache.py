"""Finding patches once: what was found is kept until the tree changes."""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import time_ns
from typing import Any

from ... import __version__
from ...io.atomic import replacing
from ...io.cache_dir import cache_folder
from .index_file import ABSENT, Found, State, pack_index, unpack_index
from .table import PatchTable
from .trees import FolderTree, Tree

logger = logging.getLogger(__name__)

#: To be raised when the content of the files or the rules of an index change.
_FORMAT = 1

#: A folder that has changed since may change once more without showing it: some file
#: systems count time in steps of two seconds.
_SETTLED = 2 * 10**9

#: Time after which an index is made anew, so that those of roots that are gone end.
_LIFETIME = 30 * 24 * 3600 * 10**9


def remember(tree: Tree, find: Callable[..., Found], *args: Any) -> PatchTable:
    """Find patches, or recall them if nothing has changed since.

    Everything that a folder holds is in its times: the folders that were read are
    looked at again, not their files. Trees that are no folders are read each time, and
    so is one whose index cannot be kept.

    Args:
        tree: Where to look.
        find: How to look: a function of the tree and *args*, and of nothing else.
        *args: What to look for.

    Returns:
        The patches; what there is to warn of is logged.
    """
    key = json.dumps([_FORMAT, __version__, find.__module__, *args], default=repr)
    path = _place(tree, key)
    found = _load(path, tree.root, key) if path else None
    if found is None:
        watched = _Watched(tree)
        found = find(watched, *args)
        if path and watched.is_settled:
            _save(path, key, found, watched)
    for warning in found.warnings:
        logger.warning('%s', warning)
    return found.files


class _Watched(Tree):
    """A tree that notes what was looked at, and when that had changed last."""

    def __init__(self, tree: Tree) -> None:
        self.root = tree.root
        self.states: dict[str, State] = {}
        self._tree = tree
        self._begin = time_ns()

    def scan(self, folder: str) -> tuple[list[str], list[str]]:
        """List a folder."""
        # Before it is read: what changes meanwhile has changed since.
        self.states.setdefault(folder, _state(f'{self.root}/{folder}'))
        return self._tree.scan(folder)

    def names(self, folder: str) -> list[str]:
        """List a folder for a message, which is not kept."""
        return self._tree.names(folder)

    def is_file(self, path: Path) -> bool:
        """Look for a file."""
        name = path.relative_to(self.root).as_posix()
        self.states.setdefault(name, _state(path))
        return self._tree.is_file(path)

    @property
    def is_settled(self) -> bool:
        """Whether all that was looked at had been left alone for a while."""
        changes = (max(s[:2]) for s in self.states.values() if s != ABSENT)
        return all(0 < change < self._begin - _SETTLED for change in changes)


def _state(path: Path | str, folder: int | None = None) -> State:
    """Tell whether a folder or file is what it was: its times, number and size.

    Args:
        path: Its path, from an open folder if that is given.
        folder: Number of the folder.
    """
    try:
        status = os.stat(path, dir_fd=folder)
    except OSError:
        return ABSENT
    # The second time changes even where a program sets the first one back.
    times = status.st_mtime_ns, status.st_ctime_ns
    return *times, status.st_ino & 2**63 - 1, status.st_size


def _place(tree: Tree, key: str) -> Path | None:
    """Name the file of an index; None if there shall be none."""
    folder = cache_folder()
    if folder is None or not isinstance(tree, FolderTree):
        return None
    try:
        place = os.path.realpath(tree.root)
    except OSError:  # where this process is has been removed
        return None
    whole = f'{place}\n{key}'.encode('utf-8', 'surrogatepass')
    return folder / 'indexes' / hashlib.sha256(whole).hexdigest()[:32]


def _load(path: Path, root: Path, key: str) -> Found | None:
    """Read an index; None if there is none, or none of the tree as it is."""
    try:
        with open(path, 'rb', buffering=0) as file:
            content = file.readall()
        # From here on, the system has a shorter way to each folder of the tree.
        start = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        return unpack_index(content, root, key, lambda name: _state(name or '.', start))
    except (ValueError, MemoryError, OverflowError):  # the last: years from 2262 on
        return None
    finally:
        os.close(start)


def _save(path: Path, key: str, found: Found, watched: _Watched) -> None:
    """Write an index, if that is possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            unfinished.write_bytes(pack_index(key, found, watched.states))
        _forget_old(path.parent)
    except OSError as error:
        logger.debug('The index is not kept: %s', error)


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        if path.stat().st_mtime_ns < time_ns() - _LIFETIME:
            path.unlink(missing_ok=True)

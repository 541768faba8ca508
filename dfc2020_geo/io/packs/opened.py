"""Open shards: their bytes, and whether they have changed."""

import mmap
import os
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .manifest import Manifest, damaged, shard_name
from .remote import fetch

# Without this, a mapping opens the file once more; Python has it from 3.13 on.
_MAPPING: dict[str, Any] = {'trackfd': False} if sys.version_info >= (3, 13) else {}

#: How many shards are open at once: systems allow a process a few hundred files.
NUM_OPEN = 200 if _MAPPING else 100

#: Asks for no more than what is in memory; not everywhere.
_AT_ONCE: int | None = getattr(os, 'RWF_NOWAIT', None)


#: What changes if a file does: its number, its size, two times.
type State = tuple[int, int, int, int]


class OpenShard:
    """An open shard, or the open table; closed when nobody reads it any more.

    Attributes:
        number: Its file descriptor.
    """

    def __init__(self, path: Path) -> None:
        """Open a shard.

        Args:
            path: Its file.

        Raises:
            OSError: If that is not possible.
        """
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._byte = bytearray(1)

    def __del__(self) -> None:
        """Close the file; the mapping ends with the last array that looks at it."""
        if hasattr(self, 'number'):
            os.close(self.number)

    def state(self) -> State:
        """Return the state of the file as it is now."""
        found = os.fstat(self.number)
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def fill(self, start: int, target: np.ndarray) -> bool:
        """Read bytes.

        Args:
            start: Where they begin.
            target: Array in one piece, to be overwritten.

        Returns:
            False if the file ends before they do.
        """
        done = os.preadv(self.number, [target], start)
        while 0 < done < target.nbytes:  # as filesystems in networks may do
            rest = memoryview(target.reshape(-1).view(np.uint8))[done:]
            more = os.preadv(self.number, [rest], start + done)
            if not more:
                return False
            done += more
        return done == target.nbytes

    def copy(
        self, start: int, target: np.ndarray, pieces: Sequence[tuple[slice, int, int]]
    ) -> bool:
        """Copy bytes that the system has in memory, which is faster than to read them.

        Where it would have to fetch them, a mapping is no good: it fetches little at a
        time, and ends the process where reading fails. That remains possible if a
        program cuts the file off within the millisecond that a copy takes.

        Args:
            start: Where they begin.
            target: Array in one piece, to be overwritten.
            pieces: Places in it, and from where to where they are copied there.

        Returns:
            False if they must be read.
        """
        mapped = self._mapped
        end = start + pieces[-1][2]
        if end > len(mapped) or not self._is_in_memory(end - 1):
            return False
        octets = target.reshape(-1).view(np.uint8)
        for place, begin, stop in pieces:
            octets[place] = mapped[start + begin : start + stop]
        return True

    @cached_property
    def _mapped(self) -> np.ndarray:
        """The file as bytes; none of them where it cannot be mapped."""
        if _AT_ONCE is None:
            return np.empty(0, np.uint8)
        try:
            access = mmap.ACCESS_READ
            memory = mmap.mmap(self.number, 0, access=access, **_MAPPING)
        except (OSError, ValueError):
            return np.empty(0, np.uint8)
        return np.frombuffer(memory, np.uint8)

    def _is_in_memory(self, position: int) -> bool:
        """Tell whether the system has a byte of the file in memory."""
        try:
            return os.preadv(self.number, [self._byte], position, _AT_ONCE or 0) == 1
        except BlockingIOError:
            return False
        except OSError:  # the filesystem cannot tell
            self.__dict__['_mapped'] = np.empty(0, np.uint8)
            return False


#: A shard, and for each band of the pack 1 if it has been checked since files changed
#: last, else 0.
type Taken = tuple[OpenShard, bytearray]


class OpenShards:
    """The open shards of a pack, and which bands have been checked.

    Threads may use it at the same time: what one of them does in vain costs no more
    than that.
    """

    def __init__(
        self, root: Path, manifest: Manifest, url: str | None, num_bands: int
    ) -> None:
        """Initialize a new OpenShards instance.

        Args:
            root: The pack; or the folder that keeps what is fetched of it.
            manifest: Its manifest.
            url: Where its files are fetched from, if they are.
            num_bands: Number of bands of all its rasters together.
        """
        self._root, self._manifest, self._url = root, manifest, url
        self._open: dict[int, OpenShard] = {}
        self._states: dict[int, State] = {}
        self._checked = bytearray(num_bands)

    def take(self, number: int) -> Taken | None:
        """Take a shard.

        Args:
            number: Its position.

        Returns:
            The shard, and which bands are checked; None if it is not open.
        """
        shard = self._open.get(number)
        return (
            None if shard is None else (shard, self._checked_at(number, shard.state()))
        )

    def open(self, number: int, path: Path | str) -> Taken:
        """Open a shard, and close the one that has been open for longest.

        Args:
            number: Its position.
            path: A raster that it holds.

        Returns:
            As :meth:`take`.

        Raises:
            RuntimeError: If it is missing, or has not the size that it was packed with.
        """
        stored = self._manifest.shards[number]
        file = self._root / shard_name(number)
        if self._url is not None:
            fetch(self._url, self._root, shard_name(number), stored)
        try:
            shard = OpenShard(file)
            state = shard.state()
        except OSError as error:
            reason = f'{error.strerror}; it holds {path}'
            raise RuntimeError(damaged(file, reason, self._url)) from None
        size = state[1]
        if size != stored.size:
            reason = f'{size} bytes, not {stored.size}; it holds {path}'
            raise RuntimeError(damaged(file, reason, self._url))
        self._open[number] = shard
        for oldest in [*self._open][:-NUM_OPEN]:
            self._open.pop(oldest, None)
        return shard, self._checked_at(number, state)

    def _checked_at(self, number: int, state: State) -> bytearray:
        """Return which bands are checked; none are any more if a shard has changed."""
        if self._states.setdefault(number, state) != state:
            # What others have found before goes to those that they have taken.
            self._checked = bytearray(len(self._checked))
            self._states[number] = state
        return self._checked

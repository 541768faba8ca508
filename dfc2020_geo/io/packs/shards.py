"""Reading bands out of the shards of a pack, and checking them against checksums."""

import os
import stat
import threading
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash

from .codecs import decode_band
from .manifest import Manifest, RasterProfile, damaged, require_link_inside, shard_name
from .remote import fetch

#: How many shards are open at once: systems allow a process a few hundred files.
NUM_OPEN = 200

#: What changes if a file does: its number, its size, two times.
type FileState = tuple[int, int, int, int]


class BandRange(NamedTuple):
    """Bands that follow each other: *number* from *source* on go to *target* and on."""

    target: int
    source: int
    number: int


class ReadPlan(NamedTuple):
    """What is done for each raster of a profile to read some of its bands.

    Attributes:
        shape: Shape of what is read.
        dtype: Its type.
        nodata: The value that the source declares as no data.
        band_bytes: Size of a band in memory.
        ranges: The bands that are read.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    nodata: float | None
    band_bytes: int
    ranges: tuple[BandRange, ...]

    def are_checked(self, checked: bytearray, first: int) -> bool:
        """Tell whether each of the bands was checked before.

        Args:
            checked: 0 or 1 for bands.
            first: Position of the raster's first one.

        Returns:
            True if all were.
        """
        for _, source, number in self.ranges:
            start = first + source
            if checked.find(0, start, start + number) >= 0:
                return False
        return True


@lru_cache(maxsize=1024)
def plan_reading(profile: RasterProfile, indexes: tuple[int, ...]) -> ReadPlan:
    """Find out what is done to read some bands of rasters of a profile.

    Args:
        profile: The profile.
        indexes: Positions of the bands, counted from 1.

    Returns:
        What is the same for each of them.

    Raises:
        IndexError: If they have no such bands.
    """
    if not 1 <= min(indexes) <= max(indexes) <= profile.num_bands:
        raise IndexError(
            f'Expected bands from 1 to {profile.num_bands}, got {indexes}.'
        )
    starts = [i for i, n in enumerate(indexes) if not i or n != indexes[i - 1] + 1]
    ranges = [
        BandRange(start, indexes[start] - 1, stop - start)
        for start, stop in pairwise([*starts, len(indexes)])
    ]
    return ReadPlan(
        shape=(len(indexes), profile.height, profile.width),
        dtype=np.dtype(profile.dtype),
        nodata=None if profile.nodata is None else float(profile.nodata),
        band_bytes=profile.band_bytes,
        ranges=tuple(ranges),
    )


class ShardFile:
    """An open shard, or the open table; closed when nobody reads it any more."""

    def __init__(self, path: Path) -> None:
        """Open a shard.

        Args:
            path: Its file.

        Raises:
            OSError: If that is not possible.
        """
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise OSError(f'no file: {path}')
        self.file = open(path, 'rb', buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()

    def __del__(self) -> None:
        """Close the file, before Python warns that it is open."""
        if hasattr(self, 'file'):
            self.file.close()

    def state(self) -> FileState:
        """Return the state of the file as it is now.

        Returns:
            Size and times of the file.
        """
        found = os.fstat(self.file.fileno())
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def read_into(self, target: np.ndarray, start: int) -> bool:
        """Read bytes.

        Args:
            target: Array in one piece, to be overwritten.
            start: Where they begin in the file.

        Returns:
            False if the file ends before they do.
        """
        done = self._read(target, start)
        while 0 < done < target.nbytes:  # as filesystems in networks may do
            rest = memoryview(target.reshape(-1).view(np.uint8))[done:]
            more = self._read(rest, start + done)
            if not more:
                return False
            done += more
        return done == target.nbytes

    def _read(self, target: np.ndarray | memoryview, start: int) -> int:
        if hasattr(os, 'preadv'):  # not on Windows
            return os.preadv(self.file.fileno(), [target], start)
        with self._lock:
            self.file.seek(start)
            return self.file.readinto(target) or 0


def read_bands(
    shard: ShardFile,
    places: Sequence[int],
    targets: np.ndarray,
    sums: Sequence[int] | None,
) -> int | None:
    """Read bands that are neighbours.

    Args:
        shard: The shard.
        places: Where the bands begin, and where the last one ends.
        targets: Array of shape ``(bands, H, W)``, to be overwritten.
        sums: Their checksums; None if they were checked before.

    Returns:
        The position of the first band that is not what was packed, None if all are.
    """
    start, stop = places[0], places[-1]
    if stop - start == targets.nbytes:
        whole = shard.read_into(targets, start)
        wrong = None if sums is None else _find_wrong(targets, sums)
    else:
        buffer = np.empty(stop - start, np.uint8)
        whole = shard.read_into(buffer, start)
        parts = [buffer[a - start : b - start] for a, b in pairwise(places)]
        wrong = None if sums is None else _find_wrong(parts, sums)
        if wrong is None and whole:
            placed = map(_place, parts, targets)
            return next((i for i, fits in enumerate(placed) if not fits), None)
    return wrong if wrong is not None or whole else len(targets) - 1


def _find_wrong(
    parts: Sequence[np.ndarray] | np.ndarray, sums: Sequence[int]
) -> int | None:
    """Return the position of the first band with another checksum."""
    digests = map(xxhash.xxh3_64_intdigest, parts)
    pairs = enumerate(zip(digests, sums, strict=True))
    return next((i for i, (found, expected) in pairs if found != expected), None)


def _place(part: np.ndarray, target: np.ndarray) -> bool:
    """Make a band of its bytes; False if they are none."""
    if part.nbytes < target.nbytes:
        return decode_band(part, target)
    target[...] = part.view(target.dtype).reshape(target.shape)
    return True


#: A shard, and for each band of the pack 1 if it has been checked since files changed
#: last, else 0.
type CheckedShard = tuple[ShardFile, bytearray]


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
        self._open: dict[int, ShardFile] = {}
        self._states: dict[int, FileState] = {}
        self._checked = bytearray(num_bands)

    def take(self, number: int) -> CheckedShard | None:
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

    def open(self, number: int, path: Path | str) -> CheckedShard:
        """Open a shard, and close the one that has been open for longest.

        Args:
            number: Its position.
            path: A raster that it holds.

        Returns:
            As :meth:`take`.

        Raises:
            RuntimeError: If it is missing, or has not the size that it was packed with.
        """
        stored, name = self._manifest.shards[number], shard_name(number)
        file = self._root / name
        if self._url is not None:
            fetch(self._url, self._root, name, stored)
        try:
            require_link_inside(self._root, name)
            shard = ShardFile(file)
            state = shard.state()
            if state[1] != stored.size:
                raise ValueError(f'{state[1]} bytes, not {stored.size}')
        except (OSError, ValueError) as error:
            reason = f'{getattr(error, "strerror", None) or error}; it holds {path}'
            raise RuntimeError(damaged(file, reason, self._url)) from None
        self._open[number] = shard
        for oldest in [*self._open][:-NUM_OPEN]:
            self._open.pop(oldest, None)
        return shard, self._checked_at(number, state)

    def _checked_at(self, number: int, state: FileState) -> bytearray:
        """Return which bands are checked; none are any more if a shard has changed."""
        if self._states.setdefault(number, state) != state:
            # What others have found before goes to those that they have taken.
            self._checked = bytearray(len(self._checked))
            self._states[number] = state
        return self._checked

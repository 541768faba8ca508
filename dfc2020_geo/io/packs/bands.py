"""Reading bands out of a shard, and checking that they are what was packed."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import xxhash

from .codecs import decode_band
from .manifest import Kind
from .opened import OpenShard


class Run(NamedTuple):
    """Bands that follow each other: *number* from *source* on go to *target* and on."""

    target: int
    source: int
    number: int


class Plan(NamedTuple):
    """What is done for each raster of a kind to read some of its bands.

    Attributes:
        shape: Shape of what is read.
        dtype: Its type.
        nodata: The value that the source declares as no data.
        runs: The bands that are read.
        pieces: For each run, where it is in what is read, and where in a raster that is
            stored as it is, in bytes; in the order of the latter.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    nodata: float | None
    runs: tuple[Run, ...]
    pieces: tuple[tuple[slice, int, int], ...]

    def are_set(self, marks: bytearray, first: int) -> bool:
        """Tell whether each of the bands has a mark.

        Args:
            marks: 0 or 1 for bands.
            first: Position of the raster's first one.
        """
        for _, source, number in self.runs:
            start = first + source
            if marks.find(0, start, start + number) >= 0:
                return False
        return True


@lru_cache(maxsize=1024)
def plan_reading(kind: Kind, indexes: tuple[int, ...]) -> Plan:
    """Find out what is done to read some bands of rasters of a kind.

    Args:
        kind: The kind.
        indexes: Positions of the bands, counted from 1.

    Returns:
        What is the same for each of them.

    Raises:
        IndexError: If they have no such bands.
    """
    if not 1 <= min(indexes) <= max(indexes) <= kind.num_bands:
        raise IndexError(f'Expected bands from 1 to {kind.num_bands}, got {indexes}.')
    dtype = np.dtype(kind.dtype)
    size = kind.height * kind.width * dtype.itemsize
    starts = [i for i, n in enumerate(indexes) if not i or n != indexes[i - 1] + 1]
    runs = [
        Run(start, indexes[start] - 1, stop - start)
        for start, stop in pairwise([*starts, len(indexes)])
    ]
    pieces = [
        (slice(to * size, (to + num) * size), begin * size, (begin + num) * size)
        for to, begin, num in runs
    ]
    return Plan(
        shape=(len(indexes), kind.height, kind.width),
        dtype=dtype,
        nodata=None if kind.nodata is None else float(kind.nodata),
        runs=tuple(runs),
        pieces=tuple(sorted(pieces, key=lambda piece: piece[2])),
    )


def read_run(
    shard: OpenShard,
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
        whole = shard.fill(start, targets)
        wrong = None if sums is None else _find_wrong(targets, sums)
    else:
        buffer = np.empty(stop - start, np.uint8)
        whole = shard.fill(start, buffer)
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

"""Reading bands out of a shard, and checking that they are what was packed."""

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import xxhash

from .codecs import decode_band


class OpenShard:
    """An open shard; closed when nobody reads it any more.

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

    def __del__(self) -> None:
        """Close the file."""
        if hasattr(self, 'number'):
            os.close(self.number)


def find_runs(bands: Sequence[int]) -> Iterator[range]:
    """Divide positions of bands into runs of neighbours.

    Args:
        bands: Positions, counted from 0.

    Yields:
        The positions, in the same order.
    """
    start = 0
    for stop in range(1, len(bands) + 1):
        if stop == len(bands) or bands[stop] != bands[stop - 1] + 1:
            yield range(bands[start], bands[stop - 1] + 1)
            start = stop


def read_run(
    shard: OpenShard, places: Sequence[int], targets: np.ndarray, sums: Sequence[int]
) -> int | None:
    """Read bands that are neighbours.

    Args:
        shard: The shard.
        places: Where the bands begin, and where the last one ends.
        targets: Array of shape ``(bands, H, W)``, to be overwritten.
        sums: Their checksums.

    Returns:
        The position of the first band that is not what was packed, None if all are.
    """
    plain = targets[0].nbytes
    if places[-1] - places[0] == plain * len(targets):
        whole = _fill(shard.number, places[0], targets)
        for position, target in enumerate(targets):
            if xxhash.xxh3_64_intdigest(target) != sums[position]:
                return position
        return None if whole else len(targets) - 1
    buffer = np.empty(places[-1] - places[0], np.uint8)
    whole = _fill(shard.number, places[0], buffer)
    for position, (start, stop) in enumerate(pairwise(places)):
        part = buffer[start - places[0] : stop - places[0]]
        same = xxhash.xxh3_64_intdigest(part) == sums[position]
        if not (whole and same and _place(part, targets[position])):
            return position
    return None


def _place(part: np.ndarray, target: np.ndarray) -> bool:
    """Make a band of its bytes; False if they are none."""
    if part.nbytes < target.nbytes:
        return decode_band(part, target)
    target[...] = part.view(target.dtype).reshape(target.shape)
    return True


def _fill(number: int, start: int, buffer: np.ndarray) -> bool:
    """Read the bytes of an array; False if the file ends before they do."""
    done = os.preadv(number, [buffer], start)
    while 0 < done < buffer.nbytes:  # as filesystems in networks may do
        rest = memoryview(buffer.reshape(-1).view(np.uint8))[done:]
        more = os.preadv(number, [rest], start + done)
        if not more:
            return False
        done += more
    return done == buffer.nbytes

"""An index as bytes: what was found, and the state of all that was looked at."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .files import Ends, Group
from .table import PatchTable

#: When a folder or file changed last (two times), its number and its size.
type State = tuple[int, int, int, int]

#: The state of what is not there.
ABSENT: State = (-1, -1, -1, -1)

_ENCODING = ('utf-8', 'surrogatepass')
_END = '\0'  # no name and no message holds it


class Found(NamedTuple):
    """What was found, and what to warn of.

    Attributes:
        files: The files of the patches.
        warnings: What is to be logged whenever they are used.
    """

    files: PatchTable
    warnings: tuple[str, ...] = ()


def pack_index(key: str, found: Found, states: Mapping[str, State]) -> bytes:
    """Make bytes of an index.

    Args:
        key: What was looked for.
        found: What was found.
        states: The state of all that was looked at, by path from the root.

    Returns:
        Five counts, the states, patches of the same group in a row, all texts but the
        names, and the names; before them a checksum.
    """
    table = found.files
    starts = np.flatnonzero(np.diff(table.group_of, prepend=-1))
    lengths = np.diff(starts, append=len(table))
    rows = np.stack([table.group_of[starts].astype(np.int64), lengths])
    fields = [field for group in table.groups for field in _write_group(group)]
    texts = _END.join([key, *found.warnings, *states, *fields]).encode(*_ENCODING)
    counts = [len(found.warnings), len(states), len(table.groups)]
    counts += [rows.shape[1], len(texts)]
    arrays = (np.array(counts), np.array(list(states.values())), rows)
    numbers = b''.join(array.astype('<i8').tobytes() for array in arrays)
    content = numbers + texts + table.middles
    return zlib.crc32(content).to_bytes(8, 'little') + content


def unpack_index(
    content: bytes, root: Path, key: str, state: Callable[[str], State]
) -> Found | None:
    """Read an index from bytes.

    Args:
        content: As :func:`pack_index` makes it, or anything else.
        root: Folder that paths begin with.
        key: What is looked for.
        state: The state of a path from the root, as it is now.

    Returns:
        What was found; None if it was something else, or a state has changed.

    Raises:
        ValueError: If this is no index, or a damaged one.
    """
    body = memoryview(content)[8:]
    if content[:8] != zlib.crc32(body).to_bytes(8, 'little'):
        raise ValueError('Expected an index, got something else.')
    counts = np.frombuffer(body, '<i8', 5).tolist()
    if min(counts) < 0 or max(counts) > len(body):
        raise ValueError(f'Expected counts, got {counts}.')
    num_warnings, num_states, num_groups, num_rows, size = counts
    numbers = np.frombuffer(body, '<i8', 4 * num_states + 2 * num_rows, offset=40)
    text = 40 + numbers.nbytes
    texts = str(body[text : text + size], *_ENCODING).split(_END)
    if len(texts) != 1 + num_warnings + num_states + 8 * num_groups:
        raise ValueError(f'Expected other counts than {counts}.')
    first = 1 + num_warnings
    names, fields = texts[first : first + num_states], texts[first + num_states :]
    states = np.array([state(name) for name in names], np.int64).ravel()
    if texts[0] != key or not np.array_equal(states, numbers[: 4 * num_states]):
        return None
    middles = bytes(body[text + size :])
    group_of = _repeat(*numbers[4 * num_states :].reshape(2, -1), len(middles) + 1)
    table = PatchTable(root, _read_groups(fields), group_of, middles)
    table.check()
    return Found(table, tuple(texts[1:first]))


def _repeat(groups: np.ndarray, lengths: np.ndarray, most: int) -> np.ndarray:
    # Each apart, as the sum of what is damaged may be any number.
    if any(not 0 < length <= most for length in lengths) or lengths.sum() > most:
        raise ValueError(f'Expected no more than {most} patches.')
    return np.repeat(groups.astype(np.int32), lengths)


def _write_group(group: Group) -> Iterable[str]:
    yield from (group.prefix, group.scene)
    for ends in (group.s2, group.s1, group.label):
        yield from ends or ('', '')


def _read_groups(fields: list[str]) -> Iterable[Group]:
    prefixes, scenes, *ends = (fields[column::8] for column in range(8))
    kinds = [map(_read_ends, *pair) for pair in zip(*[iter(ends)] * 2, strict=True)]
    return map(Group, prefixes, scenes, *kinds)


def _read_ends(start: str, extension: str) -> Ends | None:
    return Ends(start, extension) if extension else None

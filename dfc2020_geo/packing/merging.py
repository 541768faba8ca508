"""The table and the manifest of a pack, out of the records of its shards."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import replacing
from ..packs.manifest import INDEX, Folder, Kind, Manifest, Stored
from ..packs.table import Table
from .records import Job, Row, ShardRecord, read_record

#: What a table's row is, beside its name and its bands.
_ROW = np.dtype(
    [
        ('kind', np.uint32),
        ('shard', np.uint32),
        ('start', np.uint64),
        ('count', np.uint64),
        ('transform', np.float64, 6),
    ]
)


def merge(
    jobs: Sequence[Job], out: Path, settings: dict[str, Any], lists: dict[str, Stored]
) -> None:
    """Write the table and the manifest.

    Args:
        jobs: The shards, all of them written.
        out: The pack.
        settings: Format, size of shards and source.
        lists: The other files of the pack.

    Raises:
        RuntimeError: If a shard is not there.
    """
    kinds: dict[Kind, int] = {}
    shards, paths, rows, sizes, sums = [], [], [], [], []
    for job, record in _records(jobs):
        shards.append(record.stored)
        paths += [os.fsencode(file.path).rpartition(b'/') for file in job.files]
        rows += [_row(job, row, kinds) for row in record.rows]
        sizes += [np.array(row.sizes, np.uint32) for row in record.rows]
        sums += [np.array(row.sums, np.uint64) for row in record.rows]
    order = sorted(range(len(paths)), key=lambda i: (paths[i][0], paths[i][2]))
    table = _table(
        order, [path[2] for path in paths], np.array(rows, _ROW), sizes, sums
    )
    with replacing(out / INDEX) as unfinished:
        index = table.write(unfinished)
    folders = _folders(table, [paths[i][0] for i in order])
    Manifest(
        **settings,
        kinds=list(kinds),
        folders=folders,
        shards=shards,
        index=index,
        lists=lists,
    ).write(out)


def _records(jobs: Iterable[Job]) -> Iterator[tuple[Job, ShardRecord]]:
    for job in jobs:
        record = read_record(job)
        if record is None:
            raise RuntimeError(
                f'Expected all shards in {job.out}, got none with number {job.number}; '
                'run the same command again.'
            )
        yield job, record


def _row(job: Job, row: Row, kinds: dict[Kind, int]) -> tuple[Any, ...]:
    kind = kinds.setdefault(row.kind, len(kinds))
    return kind, job.number, row.start, len(row.sizes), row.transform


def _table(
    order: list[int],
    names: list[bytes],
    rows: np.ndarray,
    sizes: list[np.ndarray],
    sums: list[np.ndarray],
) -> Table:
    rows = rows[order]
    width = max(map(len, names))
    padded = b''.join(names[i].ljust(width, b'\0') for i in order)
    return Table(
        {
            'name': np.frombuffer(padded, np.uint8).reshape(len(names), width),
            **{name: rows[name] for name in ('kind', 'shard', 'start', 'transform')},
            'first': np.cumsum(rows['count']) - rows['count'],
            'size': np.concatenate([sizes[i] for i in order]),
            'sum': np.concatenate([sums[i] for i in order]),
        }
    )


def _folders(table: Table, homes: list[bytes]) -> dict[str, Folder]:
    """Find the rows of each folder."""
    folders, start = {}, 0
    for home, group in groupby(homes):
        stop = start + sum(1 for _ in group)
        name = os.fsdecode(home)
        folders[name] = Folder(start, stop, table.digest(start, stop))
        start = stop
    return folders

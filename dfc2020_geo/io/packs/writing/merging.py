"""The table and the manifest of a pack, out of the records of its shards."""

import os
from collections.abc import Sequence
from itertools import chain, groupby
from typing import Any

import numpy as np

from ...atomic import replacing
from ...run_record import FileStamp, RunRecord
from ..manifest import INDEX, FolderRows, Manifest, RasterProfile
from ..table import RasterTable
from .shards import RasterRow, ShardJob, ShardRecord, read_records

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

#: Rows of a shard, and sizes and checksums of all their bands.
type ShardColumns = tuple[np.ndarray, np.ndarray, np.ndarray]


def merge(
    jobs: Sequence[ShardJob],
    run: RunRecord,
    settings: dict[str, Any],
    lists: dict[str, FileStamp],
) -> None:
    """Write the table and the manifest.

    Args:
        jobs: The shards, all of them written.
        run: The record of the run, in the folder of the pack.
        settings: Format, size of shards and source.
        lists: The other files of the pack.

    Raises:
        RuntimeError: If a shard is not there.
    """
    profiles: dict[RasterProfile, int] = {}
    shards, homes, names, parts = [], [], [], []
    out, records = run.directory, read_records(jobs, run.noted_files())
    for job in jobs:
        record = records.get(job.number)
        if record is None:
            raise RuntimeError(
                f'Expected all shards in {out}, got none with number {job.number}; '
                'run the same command again.'
            )
        shards.append(record.stored)
        parts.append(_columns(job, record, profiles))
        for file in job.files:
            home, _, name = os.fsencode(file.path).rpartition(b'/')
            homes.append(home)
            names.append(name)
    order = np.lexsort((names, homes))
    table = _table(order, np.array(names), [*zip(*parts, strict=True)])
    with replacing(out / INDEX) as unfinished:
        index = table.write(unfinished)
    folders = _folders(table, [homes[i] for i in order])
    Manifest(
        **settings,
        profiles=list(profiles),
        folders=folders,
        shards=shards,
        index=index,
        lists=lists,
    ).write(out)


def _columns(
    job: ShardJob, record: ShardRecord, profiles: dict[RasterProfile, int]
) -> ShardColumns:
    rows = [_row(job, row, profiles) for row in record.rows]
    sizes = chain.from_iterable(row.sizes for row in record.rows)
    sums = chain.from_iterable(row.sums for row in record.rows)
    return (
        np.array(rows, _ROW),
        np.fromiter(sizes, np.uint32),
        np.fromiter(sums, np.uint64),
    )


def _row(
    job: ShardJob, row: RasterRow, profiles: dict[RasterProfile, int]
) -> tuple[Any, ...]:
    kind = profiles.setdefault(row.profile, len(profiles))
    return kind, job.number, row.start, len(row.sizes), row.transform


def _table(
    order: np.ndarray, names: np.ndarray, parts: Sequence[Sequence[np.ndarray]]
) -> RasterTable:
    """Put the columns of all shards together, their rows in an order."""
    rows, sizes, sums = map(np.concatenate, parts)
    counts = rows['count'].astype(np.int64)
    before = np.cumsum(counts) - counts
    counts, rows, names = counts[order], rows[order], names[order]
    first = np.cumsum(counts) - counts
    bands = np.repeat(before[order] - first, counts) + np.arange(counts.sum())
    return RasterTable(
        {
            'name': names.view(np.uint8).reshape(len(names), names.itemsize),
            **{name: rows[name] for name in ('kind', 'shard', 'start', 'transform')},
            'first': first.astype(np.uint64),
            'size': sizes[bands],
            'sum': sums[bands],
        }
    )


def _folders(table: RasterTable, homes: list[bytes]) -> dict[str, FolderRows]:
    """Find the rows of each folder."""
    folders, start = {}, 0
    for home, group in groupby(homes):
        stop = start + sum(1 for _ in group)
        name = os.fsdecode(home)
        folders[name] = FolderRows(start, stop, table.digest(start, stop))
        start = stop
    return folders

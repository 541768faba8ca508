"""What is in each finished shard, until the pack is finished."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ...atomic import write_text
from ..manifest import UNFINISHED, Kind, Stored, shard_name
from .source import SourceFile, digest_files


@dataclass(frozen=True)
class Job:
    """A shard to write.

    Attributes:
        number: Its position.
        root: The tree that is packed.
        out: The pack.
        format: Format of the pack.
        files: The rasters, in order.
    """

    number: int
    root: Path
    out: Path
    format: str
    files: list[SourceFile]


@dataclass(frozen=True)
class Row:
    """What the table says of one raster.

    Attributes:
        kind: What it has in common with others.
        start: Where it begins in the shard.
        transform: Its place on Earth.
        sizes: Bytes of each band in the shard.
        sums: Checksum of those.
    """

    kind: Kind
    start: int
    transform: list[float]
    sizes: list[int]
    sums: list[int]


@dataclass(frozen=True)
class ShardRecord:
    """What is in a finished shard: its file, and its rasters in order."""

    stored: Stored
    rows: list[Row]


def _record_path(out: Path, number: int) -> Path:
    return out / UNFINISHED / f'{number:05}.json'


def write_record(job: Job, record: ShardRecord) -> None:
    """Note what is in a shard, which makes it a finished one.

    Args:
        job: The shard.
        record: What is in it.
    """
    rows = [[r.kind, r.start, r.transform, r.sizes, r.sums] for r in record.rows]
    files = digest_files(job.files)
    content = {'files': files, 'stored': record.stored, 'rows': rows}
    write_text(_record_path(job.out, job.number), json.dumps(content))


def read_record(job: Job) -> ShardRecord | None:
    """Read what is in a shard.

    Args:
        job: The shard.

    Returns:
        Its record, None if the shard is not finished, or of other files.
    """
    try:
        content = json.loads(_record_path(job.out, job.number).read_text())
        stored = Stored(*content['stored'])
        rows = [Row(Kind(*kind), *rest) for kind, *rest in content['rows']]
        files = content['files']
        size = os.stat(job.out / shard_name(job.number)).st_size
    except (OSError, ValueError, LookupError, TypeError):
        return None
    same = files == digest_files(job.files) and size == stored.size
    return ShardRecord(stored, rows) if same else None

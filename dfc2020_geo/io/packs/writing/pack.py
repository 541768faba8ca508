"""Packing a tree, shard by shard; what was done before is not done again."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...atomic import replacing
from ..codecs import FORMATS
from ..manifest import MANIFEST, SHARDS, UNFINISHED, Manifest, Stored
from ..shards import digest_file
from .merging import merge
from .output_dir import alone, is_finished, note_settings, require_room
from .planning import Plan, find_clash, plan_pack
from .shard_records import Job, read_record
from .shards import remove_leftovers
from .workers import run_jobs

#: Is told how many bytes of the source were packed, of how many.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Packed:
    """What was packed.

    Attributes:
        num_files: Number of files of the source.
        num_left_out: Number of its other files.
        source_bytes: Their size.
        pack_bytes: Size of the pack.
        is_new: Whether anything was left to do.
        closed: Folders of the source that may not be listed, and are left out.
    """

    num_files: int
    num_left_out: int
    source_bytes: int
    pack_bytes: int
    is_new: bool
    closed: tuple[str, ...]


def pack_tree(
    root: Path,
    out: Path,
    name: str = 'fast',
    shard_size: int = 256_000_000,
    workers: int = 1,
    report: Report = lambda done, total: None,
) -> Packed:
    """Make a pack of a tree of rasters.

    Equal trees and settings give equal bytes, however many workers there were and
    however often the work was interrupted.

    Args:
        root: The tree.
        out: Folder of the pack.
        name: Format of the pack.
        shard_size: About how many bytes of the tree shall be in a shard.
        workers: Number of processes; 1 stands for this one.
        report: Is told how many bytes of how many were packed.

    Returns:
        What was packed.

    Raises:
        FileExistsError: If something else is in *out*.
        FileNotFoundError: If there are no rasters.
        OSError: If the pack cannot be written.
        RuntimeError: If a source, or the finished pack, is damaged, or a worker died.
        ValueError: If a setting is not understood.
    """
    if name not in FORMATS:
        raise ValueError(f"Expected a format of {', '.join(FORMATS)}, got '{name}'.")
    if shard_size < 1 or workers < 1:
        raise ValueError(
            f'Expected shard_size and workers from 1, got {shard_size} and {workers}.'
        )
    plan = plan_pack(root, out, name, shard_size)
    clash = find_clash(plan.lists)
    if clash:
        raise ValueError(f'Expected other names than those of packs, got {clash}.')
    source = plan.describe_source()
    settings = {'format': name, 'shard_size': shard_size, 'source': source}
    is_new = not is_finished(out, settings)
    if is_new:
        with alone(out), require_room(out):
            # Another process may have finished it meanwhile.
            is_new = not is_finished(out, settings)
            if is_new:
                _write(plan, out, settings, workers, report)
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    size = Manifest.read(out).num_bytes + (out / MANIFEST).stat().st_size
    return Packed(
        source['files'], plan.others, source['bytes'], size, is_new, tuple(plan.closed)
    )


def _jobs(plan: Plan, out: Path) -> list[Job]:
    return [
        Job(number, plan.root, out, plan.format, files)
        for number, files in enumerate(plan.shards)
    ]


def _write(
    plan: Plan, out: Path, settings: dict[str, Any], workers: int, report: Report
) -> None:
    note_settings(out, settings)
    (out / SHARDS).mkdir(exist_ok=True)
    remove_leftovers(out, len(plan.shards))
    _write_shards(plan, out, workers, report)
    lists = {file.path: _copy(plan, out, file.path) for file in plan.lists}
    merge(_jobs(plan, out), out, settings, lists)


def _write_shards(plan: Plan, out: Path, workers: int, report: Report) -> None:
    """Write the shards that are not there."""
    total = done = plan.num_bytes
    jobs = [job for job in _jobs(plan, out) if read_record(job) is None]
    done -= sum(_size(job) for job in jobs)
    report(done, total)
    for job in run_jobs(jobs, min(workers, len(jobs))):
        done += _size(job)
        report(done, total)


def _size(job: Job) -> int:
    return sum(file.size for file in job.files)


def _copy(plan: Plan, out: Path, path: str) -> Stored:
    """Copy a list of the source."""
    target = out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as unfinished:
        shutil.copyfile(plan.root / path, unfinished)
    return Stored(target.stat().st_size, digest_file(target))

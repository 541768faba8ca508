"""Packing a tree, shard by shard: a run that was stopped is resumed."""

import errno
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...atomic import replacing
from ...rasters import MAX_PATCH_SIZE
from ...run_record import LOCK_NAME, RECORD_NAME, FileStamp, RunRecord, is_own_file
from ..codecs import FORMATS
from ..manifest import MANIFEST, SHARDS, Manifest, damaged, is_begun
from .merging import merge
from .plan import PackPlan, plan_pack
from .shards import ShardJob, read_records, remove_leftovers, run_jobs

#: Is told how many bytes of the source were packed, of how many.
PackProgress = Callable[[int, int], None]

#: What a checksum of the source stands for, in messages.
_SUMS = {'names': 'files of other names', 'times': 'files of other sizes or times'}


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
    report: PackProgress = lambda done, total: None,
    overwrite: bool = False,
    max_patch_size: int = MAX_PATCH_SIZE,
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
        overwrite: Whether a pack of another source or with other settings may be
            replaced.
        max_patch_size: Most pixels on a side of a raster.

    Returns:
        What was packed.

    Raises:
        FileExistsError: If something else is in *out*.
        FileNotFoundError: If there are no rasters.
        OSError: If the pack cannot be written.
        RuntimeError: If a source, or the finished pack, is damaged, or a worker died.
        ValueError: If a setting is not understood, or a name cannot be in a pack.
    """
    if name not in FORMATS:
        raise ValueError(f"Expected a format of {', '.join(FORMATS)}, got '{name}'.")
    if shard_size < 1 or workers < 1:
        raise ValueError(
            f'Expected shard_size and workers from 1, got {shard_size} and {workers}.'
        )
    plan = plan_pack(root, out, name, shard_size)
    source = plan.describe_source()
    settings = {'format': name, 'shard_size': shard_size, 'source': source}
    # Files of another size or time are packed anew with their shards, on resuming.
    kept = {key: source[key] for key in ('files', 'names')}
    run = RunRecord(out, {'format': name, 'shard_size': shard_size, **kept})
    if overwrite:
        _discard_other(out, root, settings, run)
    is_new = not _is_finished(out, settings, run)
    if is_new:
        with _alone(run):
            # Another process may have finished it meanwhile.
            is_new = not _is_finished(out, settings, run)
            if is_new:
                _write(plan, run, settings, workers, report, max_patch_size)
    _remove_record(out)  # the manifest is it from here on
    size = Manifest.read(out).num_bytes + (out / MANIFEST).stat().st_size
    return Packed(
        source['files'], plan.others, source['bytes'], size, is_new, tuple(plan.closed)
    )


def _is_finished(out: Path, settings: dict[str, Any], run: RunRecord) -> bool:
    """Tell whether a folder holds this pack, finished; refuse all but it or nothing."""
    if (out / MANIFEST).is_file():
        manifest = Manifest.read(out)
        found = {key: getattr(manifest, key) for key in settings}
        _require_same(out, found | found['source'], settings | settings['source'])
        for name, stored in manifest.files.items():
            path = out / name
            size = path.stat().st_size if path.is_file() else None
            if size != stored.size:
                reason = 'no such file' if size is None else f'{size} bytes'
                raise RuntimeError(damaged(path, f'{reason}, not {stored.size} bytes'))
        return True
    if is_begun(out):
        previous = run.find()
        _require_same(out, previous.settings if previous else {}, run.settings)
    elif out.is_dir() and any(map(_is_foreign, out.iterdir())):
        raise _foreign(out)
    return False


def _foreign(out: Path) -> FileExistsError:
    return FileExistsError(
        f'Expected an empty folder for the pack, got {out} with other files; choose '
        'another --out.'
    )


def _discard_other(
    out: Path, root: Path, settings: dict[str, Any], run: RunRecord
) -> None:
    """Remove another pack than this one, finished or begun, and nothing else."""
    try:
        _is_finished(out, settings, run)
        return  # this one, or an empty folder
    except (FileExistsError, RuntimeError):
        place = out.resolve()
        is_pack = (out / MANIFEST).is_file() or is_begun(out)
        if not is_pack or root.resolve().is_relative_to(place):
            raise _foreign(out) from None
    with _alone(run):
        try:
            listed = [*Manifest.read(out).files]
        except (OSError, RuntimeError):
            listed = []
        # Without its manifest, it is no finished pack any more.
        for path in (out / name for name in (MANIFEST, *listed)):
            if path.resolve().is_relative_to(place):
                path.unlink(missing_ok=True)
        shutil.rmtree(out / SHARDS, ignore_errors=True)
        run.begin()


def _is_foreign(path: Path) -> bool:
    # What a process leaves that is killed when it begins is none.
    return path.name == RECORD_NAME or not is_own_file(path.name)


def _require_same(out: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    differing = [
        _SUMS.get(key, f'{key} {found.get(key)} instead of {wanted[key]}')
        for key in wanted
        if key != 'source' and found.get(key) != wanted[key]
    ]
    if differing:
        raise FileExistsError(
            f'Expected a pack of this source and these settings, got {out} with '
            f'{"; ".join(differing)}; choose another --out, or add --overwrite.'
        )


@contextmanager
def _alone(run: RunRecord) -> Generator[None]:
    """Keep others from writing the same pack; a killed process keeps nobody."""
    out = run.directory
    try:
        out.mkdir(parents=True, exist_ok=True)
        run.lock()
    except FileExistsError:
        if out.is_dir():
            raise
        raise _unwritable(out, errno.ENOTDIR) from None
    except OSError as error:
        raise _unwritable(out, error.errno) from error
    try:
        yield
    finally:
        run.unlock()


def _unwritable(out: Path, number: int | None) -> OSError:
    return OSError(
        f'Expected a folder that can be written to, got {out} '
        f'({os.strerror(number or 0)}); choose another --out.'
    )


def _remove_record(out: Path) -> None:
    for path in out.iterdir():
        if is_own_file(path.name) and path.name != LOCK_NAME:
            path.unlink(missing_ok=True)


def _write(
    plan: PackPlan,
    run: RunRecord,
    settings: dict[str, Any],
    workers: int,
    report: PackProgress,
    max_patch_size: int,
) -> None:
    out = run.directory
    run.begin()
    (out / SHARDS).mkdir(exist_ok=True)
    remove_leftovers(out, len(plan.shards))
    jobs = [
        ShardJob(number, plan.root, run, plan.format, files, max_patch_size)
        for number, files in enumerate(plan.shards)
    ]
    _write_shards(jobs, run, plan.num_bytes, workers, report)
    lists = {file.path: _copy(plan, out, file.path) for file in plan.lists}
    merge(jobs, run, settings, lists)


def _write_shards(
    jobs: list[ShardJob], run: RunRecord, total: int, workers: int, report: PackProgress
) -> None:
    """Write the shards that are not there whole."""
    finished = read_records(jobs, run.whole_files())
    jobs = [job for job in jobs if job.number not in finished]
    done = total - sum(map(_size, jobs))
    report(done, total)
    for job in run_jobs(jobs, min(workers, len(jobs))):
        done += _size(job)
        report(done, total)


def _size(job: ShardJob) -> int:
    return sum(file.size for file in job.files)


def _copy(plan: PackPlan, out: Path, path: str) -> FileStamp:
    """Copy a list of the source."""
    target = out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as unfinished:
        shutil.copyfile(plan.root / path, unfinished)
    return FileStamp.of(target)

"""Packing a tree, shard by shard: a run that was stopped is resumed."""

import errno
import json
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from ...atomic import replacing, write_text
from ..codecs import FORMATS
from ..manifest import MANIFEST, SHARDS, UNFINISHED, Manifest, damaged
from ..tensors import FileDigest
from .merging import merge
from .plan import PackPlan, plan_pack
from .shards import ShardJob, read_record, remove_leftovers, run_jobs

#: Is told how many bytes of the source were packed, of how many.
PackProgress = Callable[[int, int], None]

#: The settings of a pack that is not finished, and the lock of who writes it.
_SETTINGS, _LOCK = f'{UNFINISHED}/plan.json', f'{UNFINISHED}/lock'

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
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
    if overwrite:
        _discard_other(out, root, settings)
    is_new = not _is_finished(out, settings)
    if is_new:
        with _alone(out), _require_room(out):
            # Another process may have finished it meanwhile.
            is_new = not _is_finished(out, settings)
            if is_new:
                _write(plan, out, settings, workers, report)
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    size = Manifest.read(out).num_bytes + (out / MANIFEST).stat().st_size
    return Packed(
        source['files'], plan.others, source['bytes'], size, is_new, tuple(plan.closed)
    )


def _is_finished(out: Path, settings: dict[str, Any]) -> bool:
    """Tell whether a folder holds this pack, finished; refuse all but it or nothing."""
    if (out / MANIFEST).is_file():
        manifest = Manifest.read(out)
        found = {key: getattr(manifest, key) for key in settings}
        _require_same(out, found, settings)
        for name, stored in manifest.files.items():
            path = out / name
            size = path.stat().st_size if path.is_file() else None
            if size != stored.size:
                reason = 'no such file' if size is None else f'{size} bytes'
                raise RuntimeError(damaged(path, f'{reason}, not {stored.size} bytes'))
        return True
    path = out / _SETTINGS
    if path.is_file():
        try:
            begun = json.loads(path.read_text())
            # Files that were mended meanwhile are packed anew, with their shards.
            changed = {key: settings['source'][key] for key in ('bytes', 'times')}
            begun |= {'source': begun['source'] | changed}
        except (ValueError, LookupError, TypeError):
            raise RuntimeError(
                f'Expected {path} as it was written, got a damaged one; delete {out} '
                'and pack again.'
            ) from None
        _require_same(out, begun, settings)
    elif out.is_dir() and any(path.name != UNFINISHED for path in out.iterdir()):
        raise _foreign(out)
    return False


def _foreign(out: Path) -> FileExistsError:
    return FileExistsError(
        f'Expected an empty folder for the pack, got {out} with other files; choose '
        'another --out.'
    )


def _discard_other(out: Path, root: Path, settings: dict[str, Any]) -> None:
    """Remove another pack than this one, finished or begun, and nothing else."""
    try:
        _is_finished(out, settings)
        return  # this one, or an empty folder
    except (FileExistsError, RuntimeError):
        place = out.resolve()
        is_pack = any((out / name).is_file() for name in (MANIFEST, _SETTINGS))
        if not is_pack or root.resolve().is_relative_to(place):
            raise _foreign(out) from None
    with _alone(out):
        try:
            listed = [*Manifest.read(out).files]
        except (OSError, RuntimeError):
            listed = []
        # Without its manifest, it is no finished pack any more.
        for path in (out / name for name in (MANIFEST, *listed)):
            if path.resolve().is_relative_to(place):
                path.unlink(missing_ok=True)
        shutil.rmtree(out / SHARDS, ignore_errors=True)
        write_text(out / _SETTINGS, json.dumps(settings))


def _require_same(out: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    flat = [{**s, **s['source']} for s in (found, wanted)]
    differing = [
        _SUMS.get(key, f'{key} {flat[0].get(key)} instead of {flat[1][key]}')
        for key in flat[1]
        if key != 'source' and flat[0].get(key) != flat[1][key]
    ]
    if differing:
        raise FileExistsError(
            f'Expected a pack of this source and these settings, got {out} with '
            f'{"; ".join(differing)}; choose another --out, or add --overwrite.'
        )


@contextmanager
def _alone(out: Path) -> Generator[None]:
    """Keep others from writing the same pack; a killed process keeps nobody."""
    lock = filelock.FileLock(out / _LOCK)
    try:
        (out / UNFINISHED).mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise FileExistsError(
            f'Expected nobody else to write {out}, got another dfc2020-geo pack at '
            'work on it; wait for it, or choose another --out.'
        ) from None
    except OSError as error:
        raise OSError(
            f'Expected a folder that can be written to, got {out} ({error.strerror}); '
            'choose another --out.'
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _require_room(out: Path) -> Generator[None]:
    """Say in plain words that a disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            f'Expected room for {out}, got: {error.strerror}. Make room and run the '
            'same command again: it goes on where it stopped.'
        ) from error


def _write(
    plan: PackPlan,
    out: Path,
    settings: dict[str, Any],
    workers: int,
    report: PackProgress,
) -> None:
    write_text(out / _SETTINGS, json.dumps(settings))
    (out / SHARDS).mkdir(exist_ok=True)
    remove_leftovers(out, len(plan.shards))
    jobs = [
        ShardJob(number, plan.root, out, plan.format, files)
        for number, files in enumerate(plan.shards)
    ]
    _write_shards(jobs, plan.num_bytes, workers, report)
    lists = {file.path: _copy(plan, out, file.path) for file in plan.lists}
    merge(jobs, out, settings, lists)


def _write_shards(
    jobs: list[ShardJob], total: int, workers: int, report: PackProgress
) -> None:
    """Write the shards that are not there."""
    jobs = [job for job in jobs if read_record(job) is None]
    done = total - sum(map(_size, jobs))
    report(done, total)
    for job in run_jobs(jobs, min(workers, len(jobs))):
        done += _size(job)
        report(done, total)


def _size(job: ShardJob) -> int:
    return sum(file.size for file in job.files)


def _copy(plan: PackPlan, out: Path, path: str) -> FileDigest:
    """Copy a list of the source."""
    target = out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as unfinished:
        shutil.copyfile(plan.root / path, unfinished)
    return FileDigest.of(target)

"""The folder of a pack: whose it is, who writes there, and whether there is room."""

import errno
import fcntl
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...atomic import write_text
from ..manifest import MANIFEST, UNFINISHED, Manifest, damaged

_PLAN = 'plan.json'

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What a checksum of the source stands for, in messages.
_SUMS = {'names': 'files of other names', 'times': 'files of other sizes or times'}


def is_finished(out: Path, settings: dict[str, Any]) -> bool:
    """Make sure that a folder holds this pack or nothing.

    Args:
        out: The folder.
        settings: Format, size of shards and source of the pack.

    Returns:
        Whether the pack is finished.

    Raises:
        FileExistsError: If it holds something else.
        RuntimeError: If it is damaged.
    """
    if (out / MANIFEST).is_file():
        manifest = Manifest.read(out)
        found = {key: getattr(manifest, key) for key in settings}
        _require_same(out, found, settings)
        _require_files(out, manifest)
        return True
    plan = out / UNFINISHED / _PLAN
    if plan.is_file():
        try:
            begun = json.loads(plan.read_text())
            # Files that were mended meanwhile are packed anew, with their shards.
            changed = {key: settings['source'][key] for key in ('bytes', 'times')}
            begun |= {'source': begun['source'] | changed}
        except (ValueError, LookupError, TypeError):
            raise RuntimeError(
                f'Expected {plan} as it was written, got a damaged one; delete {out} '
                'and pack again.'
            ) from None
        _require_same(out, begun, settings)
    elif out.is_dir() and any(path.name != UNFINISHED for path in out.iterdir()):
        raise FileExistsError(
            f'Expected an empty folder for the pack, got {out} with other files; choose '
            'another --out.'
        )
    return False


def _require_files(out: Path, manifest: Manifest) -> None:
    for name, stored in manifest.files.items():
        path = out / name
        size = path.stat().st_size if path.is_file() else None
        if size != stored.size:
            found = 'no such file' if size is None else f'{size} bytes'
            raise RuntimeError(damaged(path, f'{found}, not {stored.size} bytes'))


def note_settings(out: Path, settings: dict[str, Any]) -> None:
    """Begin a pack, or go on.

    Args:
        out: Folder of the pack, in which nobody else writes.
        settings: Format, size of shards and source of the pack.
    """
    write_text(out / UNFINISHED / _PLAN, json.dumps(settings))


@contextmanager
def alone(out: Path) -> Generator[None]:
    """Keep others from writing the same pack; a killed process keeps nobody.

    Args:
        out: Folder of the pack.

    Raises:
        FileExistsError: If another process is writing.
        OSError: If nothing can be written there.
    """
    try:
        (out / UNFINISHED).mkdir(parents=True, exist_ok=True)
        lock = open(out / UNFINISHED / 'lock', 'w')  # noqa: SIM115
    except OSError as error:
        raise OSError(
            f'Expected a folder that can be written to, got {out} ({error.strerror}); '
            'choose another --out.'
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(
                f'Expected nobody else to write {out}, got another dfc2020-geo pack at '
                'work on it; wait for it, or choose another --out.'
            ) from None
        yield


@contextmanager
def require_room(out: Path) -> Generator[None]:
    """Say in plain words that a disk is full.

    Args:
        out: Folder of the pack.

    Raises:
        OSError: If it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            f'Expected room for {out}, got: {error.strerror}. Make room and run the '
            'same command again: it goes on where it stopped.'
        ) from error


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
            f'{"; ".join(differing)}. Delete it, or choose another --out.'
        )

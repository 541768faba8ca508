"""The files of a scene, and whether they are still what they were."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..io.scenes import Scene

#: What other programs write beside a scene without changing its numbers.
_ASIDE = ('.aux.xml', '.ovr')

#: What is looked at of a file, by name.
type _State = dict[str, int | str]


def describe_scene(scene: Scene) -> dict[str, Any]:
    """State what is read, so that rows of other images are never mixed with it.

    Args:
        scene: The scene.

    Returns:
        Plain values, which differ once a file has changed.
    """
    files = [path for path in list_files(scene) if not path.endswith(_ASIDE)]
    sources = {path: _state(path) for path in files}
    return {'sources': sources, 'notes': list(scene.notes)}


def _place(path: str) -> Path | None:
    """Find a file, or the archive that it is in; None if it is not on a disk."""
    inner = Path(re.sub(r'^(/vsi(zip|tar|gzip|cached)/)+', '', path))
    return next((p for p in (inner, *inner.parents) if p.is_file()), None)


def _state(path: str) -> _State | None:
    """Size and time of a file, in bytes and seconds, as ``touch -d @`` takes these."""
    if (place := _place(path)) is None:
        return None
    stat = place.stat()
    seconds, rest = divmod(stat.st_mtime_ns, 10**9)
    return {'size': stat.st_size, 'time': f'{seconds}.{rest:09d}'}


def check_unchanged(scene: Scene, before: Mapping[str, _State | None]) -> None:
    """Check that no file of a scene was written to while it was read.

    Where the time of a file alone has changed, only reading it again could tell whether
    its content has, and only if it had been read before as well: that is left to people.

    Args:
        scene: The scene.
        before: The ``'sources'`` of :func:`describe_scene` before.

    Raises:
        RuntimeError: If one was; the message says whether finished rows are of use.
    """
    now = describe_scene(scene)['sources']
    changed = [path for path, state in now.items() if state != before.get(path)]
    if not changed:
        return
    start = f'Expected {changed[0]} to stay as it is while it is mapped, got'
    anew = (
        'map it again with --overwrite or --scene_maps.overwrite true, which makes all '
        'rows anew.'
    )
    # Bands in one archive have one time.
    touches = (_touch(path, before.get(path), now[path]) for path in changed)
    commands = list(dict.fromkeys(touches))
    if None in commands:
        raise RuntimeError(f'{start} a file that has changed since; {anew}')
    raise RuntimeError(
        f'{start} another time of change; nothing says whether its content is the same. '
        f'If it is, give it back its time ({" && ".join(map(str, commands))}) '
        f'and run the same command again, which keeps the rows done. Else {anew}'
    )


def _touch(path: str, before: _State | None, now: _State | None) -> str | None:
    """Return the command that undoes a change of the time alone."""
    if not before or not now or before['size'] != now['size']:
        return None
    return f'touch -d @{before["time"]} {shlex.quote(str(_place(path)))}'


def list_sources(scene: Scene) -> list[str]:
    """List what is opened.

    Args:
        scene: The scene.

    Returns:
        Their paths, each once.
    """
    return list(dict.fromkeys(reader.file.path for reader in scene.readers))


def list_files(scene: Scene) -> list[str]:
    """List the sources and what they are made of: files of a .vrt, a mask beside.

    Args:
        scene: The scene.

    Returns:
        Their paths, each once.
    """
    files = [reader.file for reader in scene.readers]
    return list(dict.fromkeys(p for f in files for p in (f.path, *f.parts)))

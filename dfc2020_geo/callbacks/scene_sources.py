"""The files of a scene, and whether they are still what they were."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..scenes import Scene

#: What other programs write beside a scene without changing its numbers.
_ASIDE = ('.aux.xml', '.ovr')


def describe_scene(scene: Scene) -> dict[str, Any]:
    """State what is read, so that rows of other images are never mixed with it.

    Args:
        scene: The scene.

    Returns:
        Plain values, which differ once a file has changed.
    """
    files = [path for path in list_files(scene) if not path.endswith(_ASIDE)]
    sources = [[path, *_state(path)] for path in files]
    return {'sources': sources, 'notes': list(scene.notes)}


def _state(path: str) -> tuple[int | None, int | None]:
    """Size and time of a file, or of the archive that it is in."""
    inner = Path(re.sub(r'^(/vsi(zip|tar|gzip|cached)/)+', '', path))
    for place in (inner, *inner.parents):
        if place.is_file():
            stat = place.stat()
            return stat.st_size, stat.st_mtime_ns
    return None, None


def check_unchanged(scene: Scene, before: Sequence[Any]) -> None:
    """Check that no file of a scene was written to while it was read.

    Args:
        scene: The scene.
        before: The ``'sources'`` of :func:`describe_scene` before.

    Raises:
        RuntimeError: If one was.
    """
    for file in describe_scene(scene)['sources']:
        if file not in before:
            raise RuntimeError(
                f'Expected {file[0]} to stay as it is while it is mapped, got a file '
                'that has changed since; map it again with --overwrite or '
                '--scene_maps.overwrite true.'
            )


def list_sources(scene: Scene) -> list[str]:
    """List what is opened.

    Args:
        scene: The scene.
    """
    return list(dict.fromkeys(layer.file.path for layer in scene.layers))


def list_files(scene: Scene) -> list[str]:
    """List the sources and what they are made of: files of a .vrt, a mask beside.

    Args:
        scene: The scene.
    """
    files = [layer.file for layer in scene.layers]
    return list(dict.fromkeys(p for f in files for p in (f.path, *f.parts)))

"""From finished rows to the files of a map."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ...io.atomic import UNFINISHED
from .acquisition import Taken
from .cog import write_cog
from .file_names import find_outputs, item_path, layer_paths, polygons_path, style_path
from .polygons import write_polygons
from .rows import Parts, explain
from .stac import make_item, write_item
from .styles import write_style


def finish_map(
    parts: Parts,
    tags: Mapping[str, str],
    taken: Taken | None = None,
    polygons: bool = False,
) -> list[Path]:
    """Make the files of a map, once all of its rows are there.

    Everything is written in the work directory and then moved to its place, the map
    itself at the end: if it is there, the rest is. The rows stay, for the caller to
    remove once nothing is gone on with.

    Args:
        parts: The rows.
        tags: Texts by name: whose map it is.
        taken: When its images were taken; without it, there is no STAC item.
        polygons: Whether to write polygons as well.

    Returns:
        The files, the map itself at the end.

    Raises:
        OSError: If they cannot be written; the message says what to do.
        RuntimeError: If rows are missing.
    """
    try:
        # A directory of its own: another run could be at work on the same map.
        with TemporaryDirectory(UNFINISHED, dir=parts.directory) as directory:
            draft = Path(directory) / parts.output.name
            _write_rasters(parts, draft, tags)
            if polygons:
                write_polygons(draft, polygons_path(draft), parts.scheme)
            if taken is not None:
                item = make_item(
                    draft, parts.grid, parts.scheme, parts.layers, taken, tags, polygons
                )
                write_item(item_path(draft), item)
            return _move(parts, draft)
    except OSError as error:
        raise explain(error, parts.output) from error


def _write_rasters(parts: Parts, draft: Path, tags: Mapping[str, str]) -> None:
    for layer, path in layer_paths(draft, parts.layers).items():
        rows = parts.read(layer.name)
        write_cog(path, rows, parts.grid, layer, parts.scheme, tags)
        write_style(style_path(path), layer, parts.scheme)


def _move(parts: Parts, draft: Path) -> list[Path]:
    """Move what is written to its place, and return where."""
    moved = []
    for path in reversed(find_outputs(draft)):
        target = parts.output.with_name(path.name)
        os.replace(path, target)
        moved.append(target)
    return moved

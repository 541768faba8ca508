"""Files of a map from its finished rows: COGs, styles, STAC item, polygons."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ...io.atomic import UNFINISHED
from .cog import write_cog
from .layers import (
    find_outputs,
    item_path,
    layer_paths,
    polygons_path,
    style_path,
    write_style,
)
from .polygons import write_polygons
from .rows import MapRows, explain
from .stac import AcquisitionTime, make_item, write_item


def finish_map(
    rows: MapRows,
    tags: Mapping[str, str],
    taken: AcquisitionTime | None = None,
    polygons: bool = False,
) -> list[Path]:
    """Make the files of a map, once all of its rows are there.

    Everything is written in the work directory and then moved to its place, the map
    itself at the end: if it is there, the rest is. The rows stay, for the caller to
    remove once no map is to be resumed.

    Args:
        rows: The rows.
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
        with TemporaryDirectory(UNFINISHED, dir=rows.directory) as directory:
            draft = Path(directory) / rows.output.name
            _write_rasters(rows, draft, tags)
            if polygons:
                write_polygons(draft, polygons_path(draft), rows.scheme)
            if taken is not None:
                item = make_item(
                    draft, rows.grid, rows.scheme, rows.layers, taken, tags, polygons
                )
                write_item(item_path(draft), item)
            return _move(rows, draft)
    except OSError as error:
        raise explain(error, rows.output) from error


def _write_rasters(rows: MapRows, draft: Path, tags: Mapping[str, str]) -> None:
    for layer, path in layer_paths(draft, rows.layers).items():
        stored = rows.read(layer.name)
        write_cog(path, stored, rows.grid, layer, rows.scheme, tags)
        write_style(style_path(path), layer, rows.scheme)


def _move(rows: MapRows, draft: Path) -> list[Path]:
    """Move what is written to its place, and return where."""
    moved = []
    for path in reversed(find_outputs(draft)):
        target = rows.output.with_name(path.name)
        os.replace(path, target)
        moved.append(target)
    return moved

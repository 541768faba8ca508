"""Random and gridded patch windows of scenes, for training and for scoring."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from geopandas import GeoSeries
from torchgeo.samplers import RandomPatchSampler

from ..datasets import JoinedScenes
from .resumable import ResumableSampler
from .tiling import Axis, Span

#: Margin around the footprint of labels, as a fraction of its extent: reprojection
#: turns straight outlines into curves.
_MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class PatchWindow:
    """Window of a patch in a scene.

    Attributes:
        scene: Position of the scene.
        rows: Rows of the scene.
        columns: Columns of the scene.
        scored_rows: Rows whose labels are scored; the rest is another patch's.
        scored_columns: Columns whose labels are scored.
    """

    scene: int
    rows: Span
    columns: Span
    scored_rows: Span
    scored_columns: Span


def grid_windows(
    number: int, scene: JoinedScenes, size: tuple[int, int], overlap: int
) -> Iterator[PatchWindow]:
    """Cover the labelled part of a scene with a grid of patches.

    Args:
        number: Position of the scene.
        scene: The scene.
        size: Height and width of a patch in pixels.
        overlap: Smallest overlap of neighbouring patches in pixels.

    Yields:
        Windows, row by row; each labelled pixel is scored in exactly one.

    Raises:
        ValueError: If *overlap* is not smaller than *size*.
    """
    grid = scene.grid
    rows, columns = (
        Axis(length, s, overlap)
        for length, s in zip((grid.height, grid.width), size, strict=True)
    )
    near_rows, near_columns = _labelled(scene)
    for i, scored_rows in enumerate(rows.finished):
        if not _meet(scored_rows, near_rows):
            continue
        for j, scored_columns in enumerate(columns.finished):
            if _meet(scored_columns, near_columns):
                spans = rows.spans[i], columns.spans[j]
                yield PatchWindow(number, *spans, scored_rows, scored_columns)


def _labelled(scene: JoinedScenes) -> tuple[Span, Span]:
    """Return rows and columns of the bounding box of the labels."""
    left, bottom, right, top = scene.index.total_bounds
    to_pixels = ~scene.grid.transform
    (left, top), (right, bottom) = to_pixels @ (left, top), to_pixels @ (right, bottom)
    across, down = 1 + _MARGIN * (right - left), 1 + _MARGIN * (bottom - top)
    rows = Span(int(top - down), int(bottom + down) + 1)
    return rows, Span(int(left - across), int(right + across) + 1)


def _meet(one: Span, other: Span) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


def draw_windows(
    number: int,
    scene: JoinedScenes,
    size: tuple[int, int],
    count: int,
    rng: np.random.Generator,
) -> Iterator[PatchWindow]:
    """Draw random patches that intersect the labelled part of a scene.

    Args:
        number: Position of the scene.
        scene: The scene.
        size: Height and width of a patch in pixels; smaller scenes are one patch.
        count: Number of patches.
        rng: Random generator.

    Yields:
        Windows, in random order.
    """
    grid = scene.grid
    height, width = min(size[0], grid.height), min(size[1], grid.width)
    to_pixels = ~grid.transform
    for x, y in _InsideSampler(scene, (height, width), count, rng):
        column, row = (round(value) for value in to_pixels @ (x.start, y.stop))
        row = min(max(row, 0), grid.height - height)
        column = min(max(column, 0), grid.width - width)
        spans = Span(row, row + height), Span(column, column + width)
        yield PatchWindow(number, *spans, *spans)


class _InsideSampler(RandomPatchSampler):
    """torchgeo's ``RandomPatchSampler`` with patches up to the edges of a scene.

    torchgeo's own keeps half a diagonal away from them, and so finds no patch in a
    scene that is not far larger than a patch.
    """

    def __init__(
        self,
        scene: JoinedScenes,
        size: tuple[int, int],
        length: int,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(scene, size=size, length=length, generator=rng)
        grid, (xres, yres) = scene.grid, scene.res
        left, top = grid.transform @ (0, 0)
        right, bottom = grid.transform @ (grid.width, grid.height)
        # Half a pixel more: the outermost patches are as likely as the others.
        across, down = (size[1] - 0.999) / 2 * xres, (size[0] - 0.999) / 2 * yres
        inside = shapely.box(left + across, bottom + down, right - across, top - down)
        reach = min(self.size) / 2
        near = self.geometry.buffer(reach, join_style='mitre') & inside
        self.series = GeoSeries([near if near.area > 0 else inside])
        self.bounds = (left, bottom, right, top)


class WindowSampler(ResumableSampler):
    """Resumable sampler of random windows, equal in every process and after a restart.

    Its dataset draws the windows of an epoch: ``dataset.draw(seed, epoch)``.
    """

    def _draw(self) -> list[Any]:
        """Draw all windows of the current epoch that this process has."""
        patches: Any = self.dataset
        windows = patches.draw(self.seed, self.epoch)
        return [windows[position] for position in super()._draw()]

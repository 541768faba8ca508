"""Where patches of scenes lie: at random, or such that every pixel counts once."""

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

#: How far beside what has data patches are looked for, as a share of its extent:
#: outlines in another CRS are drawn with straight lines.
_MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class PatchWindow:
    """A patch of a scene.

    Attributes:
        scene: Position of the scene.
        rows: Its rows in the scene.
        columns: Its columns.
        scored_rows: The rows whose labels count.
        scored_columns: The columns whose labels count.
    """

    scene: int
    rows: Span
    columns: Span
    scored_rows: Span
    scored_columns: Span


def grid_windows(
    number: int, scene: JoinedScenes, size: tuple[int, int], overlap: int
) -> Iterator[PatchWindow]:
    """Cut what is labelled of a scene into patches.

    Args:
        number: Position of the scene.
        scene: The scene.
        size: Height and width of a patch in pixels.
        overlap: Least number of pixels that neighbours share.

    Yields:
        Patches, row by row; each labelled pixel is scored in one of them.

    Raises:
        ValueError: If size and overlap make no grid.
    """
    pixels = scene.pixels
    rows, columns = (
        Axis(length, s, overlap)
        for length, s in zip((pixels.height, pixels.width), size, strict=True)
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
    """Return the rows and columns outside which nothing is labelled."""
    left, bottom, right, top = scene.index.total_bounds
    place = ~scene.pixels.transform
    (left, top), (right, bottom) = place @ (left, top), place @ (right, bottom)
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
    """Draw patches of a scene that meet what is labelled.

    Args:
        number: Position of the scene.
        scene: The scene.
        size: Height and width of a patch in pixels; smaller scenes are one patch.
        count: Number of patches.
        rng: Source of randomness.

    Yields:
        The patches, in no order.
    """
    pixels = scene.pixels
    height, width = min(size[0], pixels.height), min(size[1], pixels.width)
    place = ~pixels.transform
    for x, y in _InsideSampler(scene, (height, width), count, rng):
        column, row = (round(value) for value in place @ (x.start, y.stop))
        row = min(max(row, 0), pixels.height - height)
        column = min(max(column, 0), pixels.width - width)
        spans = Span(row, row + height), Span(column, column + width)
        yield PatchWindow(number, *spans, *spans)


class _InsideSampler(RandomPatchSampler):
    """torchgeo's sampler, up to the edges of a scene.

    torchgeo keeps half a diagonal away from them, and so finds no patch in scenes
    that are not far larger than one.
    """

    def __init__(
        self,
        scene: JoinedScenes,
        size: tuple[int, int],
        length: int,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(scene, size=size, length=length, generator=rng)
        pixels, (xres, yres) = scene.pixels, scene.res
        left, top = pixels.transform @ (0, 0)
        right, bottom = pixels.transform @ (pixels.width, pixels.height)
        # Half a pixel more: the outermost patches are as likely as the others.
        across, down = (size[1] - 0.999) / 2 * xres, (size[0] - 0.999) / 2 * yres
        inside = shapely.box(left + across, bottom + down, right - across, top - down)
        reach = min(self.size) / 2
        near = self.geometry.buffer(reach, join_style='mitre') & inside
        self.series = GeoSeries([near if near.area > 0 else inside])
        self.bounds = (left, bottom, right, top)


class WindowSampler(ResumableSampler):
    """The patches of each epoch, drawn alike in every process and after a restart."""

    def __iter__(self) -> Iterator[Any]:
        """Return the windows of an epoch that are still to come."""
        positions = [*super().__iter__()]
        patches: Any = self.dataset
        windows = patches.draw(self.seed, self.epoch)
        return iter([windows[position] for position in positions])

"""The tiles of scenes, read in batches that never cross a row of tiles."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..io.scenes import Scene
from ..samplers.tiling import Axis, Blending, Span

SceneBatch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowRun:
    """Consecutive rows of tiles of one scene whose finished rows are wanted.

    Attributes:
        scene: Position of the scene.
        first: Position of the first row of tiles.
        last: Position of the last one.
    """

    scene: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TileStep:
    """One batch: tiles side by side in one row.

    Attributes:
        run: Position of the run that it belongs to.
        row: Position of the row of tiles.
        columns: Positions of the tiles in the row.
    """

    run: int
    row: int
    columns: tuple[int, ...]


class SceneTiles(Dataset[SceneBatch]):
    """The tiles of one or more scenes, a batch at each index.

    A batch is read as one window, since tiles side by side share pixels:
    :meth:`cut` takes it apart on the device.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        size: int,
        overlap: int,
        blending: Blending,
        batch_size: int,
    ) -> None:
        """Initialize a new SceneTiles instance.

        Args:
            scenes: The scenes, of the same bands.
            size: Width and height of a tile in pixels.
            overlap: Least number of pixels that neighbours share.
            blending: How neighbours are joined.
            batch_size: Number of tiles in a batch.

        Raises:
            ValueError: If size, overlap and blending make no plan.
        """
        self.scenes = list(scenes)
        self.size, self.overlap, self.blending = size, overlap, blending
        self.batch_size = batch_size
        self.rows, self.columns = (
            [Axis(length, size, overlap, blending) for length in lengths]
            for lengths in zip(*(scene.grid.shape for scene in scenes), strict=True)
        )
        everything = [RowRun(i, 0, len(r.spans) - 1) for i, r in enumerate(self.rows)]
        self._plan(everything)

    def _plan(self, runs: Sequence[RowRun]) -> None:
        self.runs = list(runs)
        self.steps: list[TileStep] = []
        for i, run in enumerate(runs):
            rows, columns = self.rows[run.scene], self.columns[run.scene]
            for row in range(rows.contributors(run.first).start, run.last + 1):
                tiles = batched(range(len(columns.spans)), self.batch_size)
                self.steps.extend(TileStep(i, row, chosen) for chosen in tiles)

    def select(self, runs: Sequence[RowRun]) -> Self:
        """Return the tiles that are needed for some rows.

        Args:
            runs: The rows of tiles whose finished rows are wanted.

        Returns:
            A copy with these tiles.
        """
        selection = copy.copy(self)
        selection._plan(runs)
        return selection

    def describe(self) -> dict[str, Any]:
        """Return what decides how a map is put together, as plain values.

        Returns:
            ``size``, ``overlap``, ``blending`` and ``batch_size``.
        """
        names = ('size', 'overlap', 'blending', 'batch_size')
        return {name: getattr(self, name) for name in names}

    @property
    def num_pixels(self) -> int:
        """The number of pixels that will be finished."""
        return sum(
            len(span) * self.columns[run.scene].length
            for run in self.runs
            for span in self.rows[run.scene].finished[run.first : run.last + 1]
        )

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.steps)

    def __getitem__(self, index: int) -> SceneBatch:
        """Read a batch.

        Args:
            index: Position of the batch.

        Returns:
            ``'window'`` of shape ``(C, H, W)``, float32 in the units of the networks'
            training data, with all tiles of the batch; ``'valid'`` of shape
            ``(H, W)``, bool, False where there is no data; ``'step'``, *index* itself,
            a number, since it is needed on the host.
        """
        rows, columns = self.window(index)
        scene = self.scenes[self.runs[self.steps[index].run].scene]
        window, valid = scene.read(
            (rows.start, rows.stop), (columns.start, columns.stop)
        )
        return {
            'window': torch.from_numpy(window),
            'valid': torch.from_numpy(valid),
            'step': index,
        }

    def window(self, index: int) -> tuple[Span, Span]:
        """Return the rows and the columns of a batch.

        Args:
            index: Position of the batch.

        Returns:
            Rows and columns of the scene.
        """
        step = self.steps[index]
        scene = self.runs[step.run].scene
        spans = self.columns[scene].spans
        first, last = spans[step.columns[0]], spans[step.columns[-1]]
        return self.rows[scene].spans[step.row], Span(first.start, last.stop)

    def cut(self, index: int, window: Tensor) -> list[Tensor]:
        """Take the window of a batch apart.

        Args:
            index: Position of the batch.
            window: Its window, of shape ``(C, H, W)``.

        Returns:
            A view of each tile, ``(C, size, size)``, or smaller if the scene is.
        """
        step = self.steps[index]
        _, outer = self.window(index)
        spans = self.columns[self.runs[step.run].scene].spans
        return [window[..., spans[column].within(outer)] for column in step.columns]

    def fill_up(self, tiles: Tensor) -> Tensor:
        """Continue tiles of a scene that is smaller by reflection.

        Args:
            tiles: The tiles of a batch, ``(B, C, H, W)``.

        Returns:
            Tiles of shape ``(B, C, size, size)``.
        """
        for axis in (-2, -1):
            if (length := tiles.shape[axis]) < self.size:
                pixels = np.pad(np.arange(length), (0, self.size - length), 'reflect')
                order = torch.from_numpy(pixels).to(tiles.device)
                tiles = tiles.index_select(axis, order)
        return tiles

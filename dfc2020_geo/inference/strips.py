"""Blending: weighted sums of overlapping tiles, a strip of rows at a time."""

import torch
from torch import Tensor

from ..samplers.tiling import Axis, Span


class Strip:
    """The rows of a scene that tiles are still being added to.

    It is as wide as the scene and as high as a tile, so memory grows with the width of
    a scene and not with its area. Tiles are added row by row, each row from left to
    right; once a row is complete, :meth:`finished` shows the pixels that no later one
    touches.
    """

    def __init__(
        self, rows: Axis, columns: Axis, num_channels: int, first: int = 0
    ) -> None:
        """Initialize a new Strip instance.

        Args:
            rows: The scene's rows, cut into spans.
            columns: The scene's columns, cut into spans.
            num_channels: Number of channels of a tile.
            first: Row of tiles whose finished rows are the first of interest; what
                earlier ones would finish is left out.
        """
        self.rows, self.columns = rows, columns
        self.start = rows.finished[first].start
        self._first = rows.contributors(first).start
        height = max(map(len, rows.spans))
        self.values = torch.empty(num_channels, height, columns.length)
        self.valid = torch.empty(height, columns.length, dtype=torch.bool)

    def add(self, row: int, column: int, values: Tensor) -> None:
        """Add a tile.

        Args:
            row: Position of its span among the rows.
            column: Position of its span among the columns.
            values: What is averaged, of shape ``(num_channels, H, W)``; H and W may be
                larger than the spans, by padding.
        """
        high, wide = self._support(row), self.columns.supports[column]
        if len(high) == 0:
            return
        inside_rows = high.within(self.rows.spans[row])
        inside_columns = wide.within(self.columns.spans[column])
        target = self._rows(self.values, high)[..., wide.start : wide.stop]
        values = values[:, inside_rows, inside_columns].to(target)
        across = torch.from_numpy(self.columns.weights(column))
        down = torch.from_numpy(self.rows.weights(row)[-len(high) :])
        weights = down[:, None] * across
        # What tiles have been added to, above and to the left; the rest holds anything.
        top = self._overlap(self.rows, row, high, self._first)
        left = self._overlap(self.columns, column, wide)
        for part in ((slice(top), slice(None)), (slice(top, None), slice(left))):
            target[:, *part].addcmul_(values[:, *part], weights[part])
        new = (slice(top, None), slice(left, None))
        torch.mul(values[:, *new], weights[new], out=target[:, *new])

    def mark(self, row: int, columns: Span, valid: Tensor) -> None:
        """Mark where a part of a row of tiles has data.

        Args:
            row: Position of the row's span.
            columns: The pixels of the part.
            valid: Boolean, of shape ``(H, W)``, for the span and *columns*.
        """
        high = self._support(row)
        if len(high) > 0:
            inside = high.within(self.rows.spans[row])
            target = self._rows(self.valid, high)[:, columns.start : columns.stop]
            target.copy_(valid[inside])

    def finished(self, row: int, columns: Span) -> tuple[Tensor, Tensor]:
        """Show what a row of tiles has finished.

        Args:
            row: Position of the row's span.
            columns: Pixels that no tile of the row will be added to any more.

        Returns:
            Averages of shape ``(num_channels, rows, columns)``, and where there is
            data, ``(rows, columns)``; both until :meth:`drop` is called.
        """
        done, inside = self.rows.finished[row], slice(columns.start, columns.stop)
        return (
            self._rows(self.values, done)[..., inside],
            self._rows(self.valid, done)[..., inside],
        )

    def drop(self, row: int) -> None:
        """Make room: forget the rows that a row of tiles has finished.

        Args:
            row: Position of the row's span.
        """
        done = self.rows.finished[row]
        for buffer in (self.values, self.valid):
            rows = Span(done.stop, self.rows.supports[row].stop)
            kept = self._rows(buffer, rows).clone()
            buffer[..., : len(rows), :] = kept
        self.start = done.stop

    def _support(self, row: int) -> Span:
        """The rows of a tile that have a weight and are not finished."""
        support = self.rows.supports[row]
        return Span(min(max(support.start, self.start), support.stop), support.stop)

    @staticmethod
    def _overlap(axis: Axis, index: int, support: Span, first: int = 0) -> int:
        """How many pixels of a support the one before has too."""
        if index == first:
            return 0
        return max(axis.supports[index - 1].stop - support.start, 0)

    def _rows(self, buffer: Tensor, rows: Span) -> Tensor:
        return buffer[..., rows.start - self.start : rows.stop - self.start, :]

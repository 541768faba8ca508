"""Strips: weighted sums of overlapping tiles, and the layers of the rows they finish."""

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ..classes import IGNORE_INDEX, ClassScheme
from ..metrics.argmax import best_class
from ..samplers.tiling import Axis, Span
from .maps import MapRows, encode_fraction

#: Arrays of uint8 by the name of their layer.
type LayerArrays = dict[str, np.ndarray]

#: Rows whose fractions are computed in one go; a few keep memory small.
_BLOCK = 64


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
        for area in ((slice(top), slice(None)), (slice(top, None), slice(left))):
            target[:, *area].addcmul_(values[:, *area], weights[area])
        new = (slice(top, None), slice(left, None))
        torch.mul(values[:, *new], weights[new], out=target[:, *new])

    def mark(self, row: int, columns: Span, valid: Tensor) -> None:
        """Mark where columns of a row of tiles have data.

        Args:
            row: Position of the row's span.
            columns: The columns, in pixels.
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


class RowWriter:
    """Turns what batches have finished into layers, and complete rows into files.

    A thread works on columns of the strip that no later tile touches; only before these
    rows are dropped is it waited for. So nothing is copied, and no memory is added.
    """

    def __init__(
        self, rows: MapRows, strip: Strip, names: Sequence[str], scene: str
    ) -> None:
        """Initialize a new RowWriter instance.

        Args:
            rows: Where the rows go.
            strip: Where tiles are added.
            names: Names of the layers beside the classes.
            scene: Name of the scene, for messages.
        """
        self.rows, self.strip, self.names = rows, strip, names
        self.scene = scene
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pieces: list[Future[LayerArrays]] = []
        self._writing: Future[None] | None = None

    def finish(self, row: int, columns: Sequence[int]) -> None:
        """Turn what a batch has finished into layers, and complete rows into files.

        Args:
            row: Position of its row of tiles.
            columns: Positions of its tiles in the row, which have been added.

        Raises:
            OSError: If rows could not be written; the message says what to do.
            RuntimeError: If the network has predicted NaN or infinite numbers.
        """
        spans = self.strip.columns.finished
        done = Span(spans[columns[0]].start, spans[columns[-1]].stop)
        values, valid = self.strip.finished(row, done)
        self._pieces.append(self._thread.submit(self._make, values, valid))
        if columns[-1] == len(spans) - 1:
            pieces = [piece.result() for piece in self._pieces]
            self._pieces = []
            self.strip.drop(row)
            self._wait()
            rows = self.strip.rows.finished[row]
            self._writing = self._thread.submit(self._write, rows, pieces)

    def close(self) -> None:
        """Wait until all is written, and end the thread.

        Raises:
            OSError: If rows could not be written; the message says what to do.
        """
        try:
            self._wait()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End the thread, after what it is at."""
        self._thread.shutdown(cancel_futures=True)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _make(self, values: Tensor, valid: Tensor) -> LayerArrays:
        # NaN would become the first class. Not summed by torch, which would divide
        # that among threads that the network needs.
        if not np.isfinite(values.numpy().sum()):
            raise RuntimeError(
                'Expected numbers from the network, got NaN or infinite ones in the '
                f'scene {self.scene}; map it with --trainer.precision 32-true, or take '
                'another checkpoint.'
            )
        return make_layers(values, valid, self.rows.scheme, self.names)

    def _write(self, rows: Span, pieces: Sequence[LayerArrays]) -> None:
        layers = {
            name: np.concatenate([piece[name] for piece in pieces], axis=-1)
            for name in pieces[0]
        }
        self.rows.write(rows.start, rows.stop, layers)


def make_layers(
    scores: Tensor, valid: Tensor, scheme: ClassScheme, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Compute the layers of some rows of a map.

    Args:
        scores: Logits of shape ``(num_classes, H, W)``; with the layer
            ``disagreement``, it is one more channel.
        valid: Boolean of shape ``(H, W)``, False without data.
        scheme: The classes.
        names: Names of the layers beside the classes.

    Returns:
        Arrays of uint8 by the name of their layer: codes of shape ``(H, W)`` as
        ``classes``, and fractions as :func:`~.maps.encode_fraction` stores them.
    """
    logits = scores[: len(scheme)]
    indices = best_class(logits)
    indices[~valid] = IGNORE_INDEX
    layers = {'classes': scheme.decode(indices.numpy())}
    for name in names:
        size = len(scheme) if name == 'probabilities' else 1
        layers[name] = np.empty((size, *valid.shape), np.uint8)
    for start in range(0, len(valid) if names else 0, _BLOCK):
        rows = slice(start, start + _BLOCK)
        fractions = _compute_fractions(scores[:, rows], len(scheme))
        for name in names:
            known = fractions[name].masked_fill(~valid[rows], math.nan)
            layers[name][:, rows] = encode_fraction(known.numpy())
    return layers


def _compute_fractions(scores: Tensor, num_classes: int) -> dict[str, Tensor]:
    """Compute every layer of fractions, each of shape ``(bands, H, W)``."""
    probabilities = scores[:num_classes].softmax(dim=0)
    entropy = torch.special.entr(probabilities).sum(dim=0, keepdim=True)
    return {
        'probabilities': probabilities,
        'confidence': probabilities.amax(dim=0, keepdim=True),
        'entropy': (entropy / math.log(num_classes)).clamp(0, 1),
        # Weights that add up to 1 do so up to rounding.
        'disagreement': scores[num_classes:].clamp(0, 1),
    }

"""Finishing the rows of a map in a thread, while the next tiles are predicted."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ..maps import Parts
from ..strips import Strip
from ..tiling import Span
from .scene_layers import make_layers

Layers = dict[str, np.ndarray]


class RowWriter:
    """Turns what batches have finished into layers, and complete rows into files.

    A thread works on columns of the strip that no later tile touches; only before these
    rows are dropped is it waited for. So nothing is copied, and no memory is added.
    """

    def __init__(self, parts: Parts, strip: Strip, names: Sequence[str]) -> None:
        """Initialize a new RowWriter instance.

        Args:
            parts: Where the rows go.
            strip: Where tiles are added.
            names: Names of the layers beside the classes.
        """
        self.parts, self.strip, self.names = parts, strip, names
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pieces: list[Future[Layers]] = []
        self._writing: Future[None] | None = None

    def finish(self, row: int, columns: Sequence[int]) -> None:
        """Go on with what a batch has finished.

        Args:
            row: Position of its row of tiles.
            columns: Positions of its tiles in the row, which have been added.

        Raises:
            OSError: If rows could not be written; the message says what to do.
        """
        spans = self.strip.columns.finished
        done = Span(spans[columns[0]].start, spans[columns[-1]].stop)
        values, valid = self.strip.finished(row, done)
        piece = self._thread.submit(
            make_layers, values, valid, self.parts.scheme, self.names
        )
        self._pieces.append(piece)
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

    def _write(self, rows: Span, pieces: Sequence[Layers]) -> None:
        layers = {
            name: np.concatenate([piece[name] for piece in pieces], axis=-1)
            for name in pieces[0]
        }
        self.parts.write(rows.start, rows.stop, layers)

"""Finishing the rows of a map in a thread, while the next tiles are predicted."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch import Tensor

from ..samplers.tiling import Span
from .layers import make_layers
from .maps import Parts
from .strips import Strip

Layers = dict[str, np.ndarray]


class RowWriter:
    """Turns what batches have finished into layers, and complete rows into files.

    A thread works on columns of the strip that no later tile touches; only before these
    rows are dropped is it waited for. So nothing is copied, and no memory is added.
    """

    def __init__(
        self, parts: Parts, strip: Strip, names: Sequence[str], scene: str
    ) -> None:
        """Initialize a new RowWriter instance.

        Args:
            parts: Where the rows go.
            strip: Where tiles are added.
            names: Names of the layers beside the classes.
            scene: Name of the scene, for messages.
        """
        self.parts, self.strip, self.names = parts, strip, names
        self.scene = scene
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
            RuntimeError: If the network has answered with NaN or infinite numbers.
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

    def _make(self, values: Tensor, valid: Tensor) -> Layers:
        # NaN would become the first class. Not summed by torch, which would share that
        # out among threads that the network needs.
        if not np.isfinite(values.numpy().sum()):
            raise RuntimeError(
                'Expected numbers from the network, got NaN or infinite ones in the '
                f'scene {self.scene}; map it with --trainer.precision 32-true, or take '
                'another checkpoint.'
            )
        return make_layers(values, valid, self.parts.scheme, self.names)

    def _write(self, rows: Span, pieces: Sequence[Layers]) -> None:
        layers = {
            name: np.concatenate([piece[name] for piece in pieces], axis=-1)
            for name in pieces[0]
        }
        self.parts.write(rows.start, rows.stop, layers)

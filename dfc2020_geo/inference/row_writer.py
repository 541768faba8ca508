"""Thread that makes the layers of finished rows, while the next tiles are predicted."""

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ..classes import IGNORE_INDEX, ClassScheme
from ..metrics.argmax import best_class
from ..samplers.tiling import Span
from .maps import MapRows, encode_fraction
from .strips import Strip

#: Arrays of uint8 by the name of their layer.
type LayerArrays = dict[str, np.ndarray]

#: Rows whose fractions are computed in one go; a few keep memory small.
_BLOCK = 64


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
        # NaN would become the first class. Not summed by torch, which would share that
        # out among threads that the network needs.
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

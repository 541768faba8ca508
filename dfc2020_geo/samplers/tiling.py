"""How a scene is cut into tiles and put together again: pixel arithmetic only.

Everything is done along one axis and combined: the weight of a pixel in a tile is the
weight of its row times the weight of its column.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

#: How tiles are joined where they overlap: cut in the middle, or faded over.
Blending = Literal['none', 'linear', 'cosine']


@dataclass(frozen=True, slots=True)
class Span:
    """Pixels *start* to *stop*, the last one excluded, along one axis."""

    start: int
    stop: int

    def __len__(self) -> int:
        """Return the number of pixels."""
        return self.stop - self.start

    def within(self, outer: 'Span') -> slice:
        """Return where these pixels lie in those of another span."""
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True)
class Axis:
    """One axis of a scene, cut into overlapping spans.

    Span *i* and the next are joined at the middle of their overlap. The weights of all
    spans at a pixel add up to 1, whatever the overlap.

    Attributes:
        length: Number of pixels of the scene.
        size: Number of pixels of a tile; a shorter scene is one span.
        overlap: Least number of pixels that neighbours share.
        blending: How neighbours are joined.
    """

    length: int
    size: int
    overlap: int
    blending: Blending = 'none'

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If they make no plan.
        """
        if self.length < 1 or self.size < 1 or not 0 <= self.overlap < self.size:
            raise ValueError(
                f'Expected a scene and tiles of at least one pixel and an overlap '
                f'smaller than the tiles, got {self.length}, {self.size} and '
                f'{self.overlap}.'
            )
        if self.blending not in get_args(Blending):
            raise ValueError(
                f'Expected blending to be one of {get_args(Blending)}, '
                f"got '{self.blending}'."
            )

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The spans in order; none leaves the scene, and the last ends with it."""
        last = max(self.length - self.size, 0)
        starts = [*range(0, last, self.size - self.overlap), last]
        return tuple(Span(i, min(i + self.size, self.length)) for i in starts)

    @cached_property
    def cuts(self) -> tuple[int, ...]:
        """Where the core of each span ends: the middle of the overlap with the next."""
        ends = ((a.stop + b.start) // 2 for a, b in pairwise(self.spans))
        return (*ends, self.length)

    @cached_property
    def _reach(self) -> int:
        """Number of pixels before and after a cut in which neighbours are faded."""
        return 0 if self.blending == 'none' else self.overlap // 2

    @cached_property
    def supports(self) -> tuple[Span, ...]:
        """The pixels of each span that have a weight."""
        starts = (0, *(cut - self._reach for cut in self.cuts[:-1]))
        stops = (*(cut + self._reach for cut in self.cuts[:-1]), self.length)
        return tuple(map(Span, starts, stops))

    @cached_property
    def finished(self) -> tuple[Span, ...]:
        """The pixels that are complete once a span is done, and were not before.

        They are a partition of the axis in its order.
        """
        stops = (*(s.start for s in self.supports[1:]), self.length)
        return tuple(map(Span, (0, *stops[:-1]), stops))

    def weights(self, index: int) -> np.ndarray:
        """Return the weight of each pixel of a span's support, float32.

        Args:
            index: Position of the span.
        """
        support = self.supports[index]
        pixels = np.arange(support.start, support.stop)
        weights = np.ones(len(pixels))
        if index > 0:
            weights = self._fade(pixels, self.cuts[index - 1])
        if index < len(self.spans) - 1:
            weights = weights - self._fade(pixels, self.cuts[index])
        return weights.astype(np.float32)

    def contributors(self, index: int) -> range:
        """Return the spans that have a weight where span *index* finishes pixels.

        Args:
            index: Position of a span, which is the last of them.
        """
        start = self.finished[index].start
        first = next(i for i, s in enumerate(self.supports) if s.stop > start)
        return range(first, index + 1)

    def _fade(self, pixels: np.ndarray, cut: int) -> np.ndarray:
        """Rise from 0 to 1 around a cut."""
        if self._reach == 0:
            return (pixels >= cut).astype(np.float64)
        share = (pixels - cut + self._reach + 0.5) / (2 * self._reach)
        share = share.clip(0.0, 1.0)
        if self.blending == 'cosine':
            share = (1 - np.cos(np.pi * share)) / 2
        return share

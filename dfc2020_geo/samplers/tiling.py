"""Tiling of scenes: overlapping tiles, their cores and blending weights along one axis.

Rows and columns are independent: the weight of a pixel in a tile is the weight of its
row times the weight of its column.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

#: Blending of neighbouring tiles: cut in the middle of their overlap, or cross-fade.
Blending = Literal['none', 'linear', 'cosine']


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open interval of pixels along one axis.

    Attributes:
        start: First pixel.
        stop: First pixel after the interval.
    """

    start: int
    stop: int

    def __len__(self) -> int:
        """Return the number of pixels."""
        return self.stop - self.start

    def within(self, outer: 'Span') -> slice:
        """Return these pixels as a slice into those of another span.

        Args:
            outer: A span that contains this one.

        Returns:
            Slice relative to the start of *outer*.

        Examples:
            >>> Span(6, 8).within(Span(5, 10))
            slice(1, 3, None)
        """
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True)
class Axis:
    """One axis of a scene, cut into overlapping tiles.

    The core of a tile ends in the middle of its overlap with the next one. The weights
    of all tiles are a partition of unity: they add up to 1 at every pixel.

    Attributes:
        length: Length of the scene in pixels.
        size: Length of a tile in pixels; a scene shorter than that is one tile.
        overlap: Smallest overlap of neighbouring tiles in pixels.
        blending: Cut (``'none'``) or cross-fade (``'linear'``, ``'cosine'``).

    Examples:
        >>> axis = Axis(length=10, size=6, overlap=2, blending='linear')
        >>> axis.spans  # tiles as they are read
        (Span(start=0, stop=6), Span(start=4, stop=10))
        >>> axis.cuts  # ends of their cores
        (5, 10)
        >>> axis.weights(0).tolist()  # of pixels 0 to 5
        [1.0, 1.0, 1.0, 1.0, 0.75, 0.25]
        >>> axis.weights(1).tolist()  # of pixels 4 to 9
        [0.25, 0.75, 1.0, 1.0, 1.0, 1.0]
    """

    length: int
    size: int
    overlap: int
    blending: Blending = 'none'

    def __post_init__(self) -> None:
        """Validate the arguments.

        Raises:
            ValueError: If *length* or *size* is below 1, *overlap* is not smaller than
                *size*, or *blending* is unknown.
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
        """Pixels of each tile, in order; the last tile ends with the scene."""
        last = max(self.length - self.size, 0)
        starts = [*range(0, last, self.size - self.overlap), last]
        return tuple(Span(i, min(i + self.size, self.length)) for i in starts)

    @cached_property
    def cuts(self) -> tuple[int, ...]:
        """End of each tile's core: the middle of its overlap with the next tile."""
        ends = ((a.stop + b.start) // 2 for a, b in pairwise(self.spans))
        return (*ends, self.length)

    @cached_property
    def _reach(self) -> int:
        """Half width of the cross-fade around a cut, in pixels."""
        return 0 if self.blending == 'none' else self.overlap // 2

    @cached_property
    def supports(self) -> tuple[Span, ...]:
        """Pixels of each tile with a weight above 0."""
        starts = (0, *(cut - self._reach for cut in self.cuts[:-1]))
        stops = (*(cut + self._reach for cut in self.cuts[:-1]), self.length)
        return tuple(map(Span, starts, stops))

    @cached_property
    def finished(self) -> tuple[Span, ...]:
        """Pixels that each tile completes: no later tile has a weight there.

        They are a partition of the axis, in order.
        """
        stops = (*(s.start for s in self.supports[1:]), self.length)
        return tuple(map(Span, (0, *stops[:-1]), stops))

    def weights(self, index: int) -> np.ndarray:
        """Return the blending weights of a tile.

        Args:
            index: Position of the tile.

        Returns:
            Weight of each pixel of ``supports[index]``, float32, in (0, 1].
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
        """Return the tiles with a weight in the pixels that tile *index* completes.

        Args:
            index: Position of a tile.

        Returns:
            Positions of tiles; *index* is the last.
        """
        start = self.finished[index].start
        first = next(i for i, s in enumerate(self.supports) if s.stop > start)
        return range(first, index + 1)

    def _fade(self, pixels: np.ndarray, cut: int) -> np.ndarray:
        """Return weights that rise from 0 to 1 around a cut, float64."""
        if self._reach == 0:
            return (pixels >= cut).astype(np.float64)
        weights = (pixels - cut + self._reach + 0.5) / (2 * self._reach)
        weights = weights.clip(0.0, 1.0)
        if self.blending == 'cosine':
            weights = (1 - np.cos(np.pi * weights)) / 2
        return weights

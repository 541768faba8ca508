"""What comes out of a strip is the weighted average of the tiles, whole and unmixed."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dfc2020_geo.inference.strips import Strip
from dfc2020_geo.samplers.tiling import Axis, Span


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Axis, Axis]:
    size = draw(st.integers(1, 12))
    overlap = draw(st.integers(0, size - 1))
    blending = draw(st.sampled_from(['none', 'linear', 'cosine']))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    return Axis(height, size, overlap, blending), Axis(width, size, overlap, blending)


def _tiles(rows: Axis, columns: Axis) -> dict[tuple[int, int], Tensor]:
    """Tiles that each hold other numbers, padded to the size of a tile."""
    generator = torch.Generator().manual_seed(1)
    shape = (2, rows.size, columns.size)
    return {
        (i, j): torch.rand(shape, generator=generator)
        for i in range(len(rows.spans))
        for j in range(len(columns.spans))
    }


def _naively(
    rows: Axis, columns: Axis, tiles: dict[tuple[int, int], Tensor]
) -> np.ndarray:
    """Average full-size arrays, all in memory, in float64."""
    total = np.zeros((2, rows.length, columns.length))
    for (i, j), tile in tiles.items():
        down, across = np.zeros(rows.length), np.zeros(columns.length)
        high, wide = rows.supports[i], columns.supports[j]
        down[high.start : high.stop] = rows.weights(i)
        across[wide.start : wide.stop] = columns.weights(j)
        placed = np.zeros_like(total)
        top, left = rows.spans[i], columns.spans[j]
        placed[:, top.start : top.stop, left.start : left.stop] = tile[
            :, : len(top), : len(left)
        ]
        total += placed * np.outer(down, across)
    return total


def _stream(
    rows: Axis, columns: Axis, tiles: dict[tuple[int, int], Tensor], first: int = 0
) -> tuple[Tensor, Tensor]:
    strip = Strip(rows, columns, 2, first)
    strip.values.fill_(math.nan)  # what memory holds at first is in no result
    parts, marks = [], []
    for i in range(rows.contributors(first).start, len(rows.spans)):
        whole = torch.arange(rows.spans[i].start, rows.spans[i].stop)[:, None] % 3 > 0
        strip.mark(i, Span(0, columns.length), whole.expand(-1, columns.length))
        pieces = []
        for j in range(len(columns.spans)):
            strip.add(i, j, tiles[i, j])
            if i >= first:  # As soon as they are finished, whatever comes later.
                values, valid = strip.finished(i, columns.finished[j])
                pieces.append((values.clone(), valid.clone()))
        if i >= first:
            parts.append(torch.cat([values for values, _ in pieces], -1))
            marks.append(torch.cat([valid for _, valid in pieces], -1))
            strip.drop(i)
    return torch.cat(parts, 1), torch.cat(marks)


@given(scenes())
@settings(deadline=None)
def test_streaming_equals_averaging_the_whole_scene(scene: tuple[Axis, Axis]) -> None:
    tiles = _tiles(*scene)
    values, valid = _stream(*scene, tiles)
    np.testing.assert_allclose(values, _naively(*scene, tiles), atol=1e-5)
    expected = torch.arange(scene[0].length) % 3 > 0
    assert torch.equal(valid, expected[:, None].expand_as(valid))


@given(scenes(), st.data())
@settings(deadline=None)
def test_going_on_at_any_row_gives_the_very_same_bits(
    scene: tuple[Axis, Axis], data: st.DataObject
) -> None:
    tiles = _tiles(*scene)
    first = data.draw(st.integers(0, len(scene[0].spans) - 1))
    done = scene[0].finished[first].start
    whole, whole_valid = _stream(*scene, tiles)
    rest, rest_valid = _stream(*scene, tiles, first)
    assert torch.equal(rest, whole[:, done:])
    assert torch.equal(rest_valid, whole_valid[done:])

"""Laws of the tiling, over drawn sizes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfc2020_geo.samplers.tiling import Axis, Span


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    size = draw(st.integers(1, 40))
    return Axis(
        length=draw(st.integers(1, 200)),
        size=size,
        overlap=draw(st.integers(0, size - 1)),
        blending=draw(st.sampled_from(['none', 'linear', 'cosine'])),
    )


@given(axes())
def test_spans_stay_in_the_scene_and_have_the_size_of_a_tile(axis: Axis) -> None:
    assert axis.spans[0].start == 0
    assert axis.spans[-1].stop == axis.length
    assert {len(span) for span in axis.spans} == {min(axis.size, axis.length)}
    for one, other in pairwise(axis.spans):
        assert one.start < other.start
        assert one.stop - other.start >= axis.overlap


@given(axes())
def test_no_span_is_needless(axis: Axis) -> None:
    stride = axis.size - axis.overlap
    assert len(axis.spans) == 1 + max(0, -(-(axis.length - axis.size) // stride))


@given(axes())
def test_weights_are_a_partition_of_unity_within_the_spans(axis: Axis) -> None:
    total = np.zeros(axis.length)
    for i, (span, support) in enumerate(zip(axis.spans, axis.supports, strict=True)):
        weights = axis.weights(i)
        assert span.start <= support.start < support.stop <= span.stop
        assert len(weights) == len(support)
        assert (weights >= 0).all()
        total[support.start : support.stop] += weights
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@given(axes())
def test_without_blending_every_pixel_is_kept_once(axis: Axis) -> None:
    kept = np.zeros(axis.length, int)
    plain = Axis(axis.length, axis.size, axis.overlap)
    for i, support in enumerate(plain.supports):
        assert (plain.weights(i) == 1).all()
        kept[support.start : support.stop] += 1
    assert (kept == 1).all()


@given(axes())
def test_what_is_finished_is_a_partition_that_nothing_later_touches(axis: Axis) -> None:
    assert [s.start for s in axis.finished] == [0, *(s.stop for s in axis.finished)][
        :-1
    ]
    assert axis.finished[-1].stop == axis.length
    for i, done in enumerate(axis.finished):
        assert len(done) > 0
        assert all(later.start >= done.stop for later in axis.supports[i + 1 :])
        touching = {
            j
            for j, s in enumerate(axis.supports)
            if s.start < done.stop and s.stop > done.start
        }
        assert touching <= {*axis.contributors(i)}
        assert axis.contributors(i).start == min(touching)


def test_pixels_are_kept_far_from_the_edges_of_tiles() -> None:
    axis = Axis(length=100, size=40, overlap=10)
    assert axis.spans == (Span(0, 40), Span(30, 70), Span(60, 100))
    assert axis.cuts == (35, 65, 100)


def test_fading_is_symmetric_and_as_named() -> None:
    linear = Axis(7, 5, 4, 'linear').weights(0)
    cosine = Axis(7, 5, 4, 'cosine').weights(0)
    assert Axis(7, 5, 4).cuts[0] == 3
    np.testing.assert_allclose(linear[:3], [1, 0.875, 0.625], atol=1e-6)
    assert cosine[1] == pytest.approx((1 + np.cos(np.pi * 0.125)) / 2)


@pytest.mark.parametrize(
    'numbers', [(0, 4, 0), (5, 0, 0), (5, 4, 4), (5, 4, -1), (-3, 4, 1)]
)
def test_numbers_that_make_no_plan_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r'overlap smaller than the tiles, got'):
        Axis(*numbers)


def test_unknown_blending_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'cosine'\), got 'gauss'"):
        Axis(9, 5, 2, 'gauss')  # ty: ignore[invalid-argument-type]

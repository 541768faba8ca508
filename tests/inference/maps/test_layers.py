import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dfc2020_geo.classes import SCHEMES
from dfc2020_geo.inference.maps import decode_fraction, encode_fraction, find_layer
from dfc2020_geo.inference.maps.layers import FRACTION_NODATA, FRACTION_SCALE

FRACTIONS = arrays(np.float32, array_shapes(), elements=st.floats(0, 1, width=32))


@given(FRACTIONS)
def test_a_fraction_comes_back_to_half_a_step(fractions: np.ndarray) -> None:
    back = decode_fraction(encode_fraction(fractions))
    assert back.dtype == np.float32
    assert np.abs(back - fractions).max() <= FRACTION_SCALE / 2 + 1e-7


def test_every_stored_value_comes_back() -> None:
    stored = np.arange(251, dtype=np.uint8)
    np.testing.assert_array_equal(encode_fraction(decode_fraction(stored)), stored)
    np.testing.assert_allclose(
        decode_fraction(stored), stored * FRACTION_SCALE, atol=1e-7
    )


def test_what_is_not_known_stays_so() -> None:
    stored = encode_fraction(np.array([[0.5, np.nan]]))
    assert stored.tolist() == [[125, FRACTION_NODATA]]
    assert np.isnan(decode_fraction(stored)).tolist() == [[False, True]]


def test_rounding_beyond_the_ends_is_forgiven() -> None:
    fractions = np.array([-1e-6, 1 + 1e-6], np.float32)
    assert encode_fraction(fractions).tolist() == [0, 250]


@pytest.mark.parametrize('wrong', [-0.1, 1.01, np.inf, 250])
def test_what_is_no_share_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=rf'from 0 to 1, got .*{wrong}'):
        encode_fraction(np.array([0.5, wrong]))


def test_layers_know_their_bands() -> None:
    scheme = SCHEMES['dfc2020-no-savanna']
    assert find_layer('probabilities', scheme).bands == tuple(scheme.labels)
    assert len(find_layer('entropy', scheme).bands) == 1
    with pytest.raises(ValueError, match=r"Expected a layer of .*, got 'entropi'"):
        find_layer('entropi', scheme)

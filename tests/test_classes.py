import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfc2020_geo.classes import IGNORE_INDEX, SCHEMES, ClassScheme, get_scheme

# Codes of the ten classes after IGBP codes 0 to 17, as the 2020 baseline has them.
IGBP_TO_CODE = [0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 6, 8, 9, 10]

schemes = pytest.mark.parametrize('scheme', SCHEMES.values(), ids=lambda s: s.name)


@schemes
def test_decode_inverts_encode(scheme: ClassScheme) -> None:
    codes = torch.tensor([c.code for c in scheme.classes], dtype=torch.uint8)
    assert torch.equal(scheme.decode(scheme.encode(codes, 'dfc2020')), codes)


@schemes
@pytest.mark.parametrize(
    'dtype', ['uint8', 'int8', 'uint16', 'int16', 'int32', 'int64']
)
def test_igbp_follows_the_table_in_any_integer_type(
    scheme: ClassScheme, dtype: str
) -> None:
    indices = scheme.encode(np.arange(18, dtype=dtype), 'igbp')
    kept = {c.code for c in scheme.classes}
    expected = [code if code in kept else 0 for code in IGBP_TO_CODE]
    assert scheme.decode(indices).tolist() == expected


def test_schemes_have_the_classes_of_their_names() -> None:
    def codes(name: str) -> list[int]:
        return [c.code for c in get_scheme(name).classes]

    assert codes('dfc2020') == list(range(1, 11))
    assert codes('dfc2020-no-savanna') == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert codes('dfc2020-contest') == [1, 2, 4, 5, 6, 7, 9, 10]


def test_no_data_is_ignored() -> None:
    scheme = get_scheme('dfc2020')
    igbp = np.array([0, 255], dtype=np.uint8)
    assert scheme.encode(igbp, 'igbp').tolist() == [IGNORE_INDEX] * 2
    assert scheme.encode(igbp[:1], 'dfc2020').tolist() == [IGNORE_INDEX]
    assert scheme.decode(np.array([IGNORE_INDEX])).tolist() == [0]


def test_arrays_and_tensors_agree() -> None:
    scheme = get_scheme('dfc2020-no-savanna')
    codes = np.arange(11, dtype=np.uint8).reshape(1, 11)
    indices = scheme.encode(torch.from_numpy(codes), 'dfc2020')
    assert indices.dtype == torch.int64
    assert indices.tolist() == scheme.encode(codes, 'dfc2020').tolist()


@pytest.mark.parametrize(
    ('codes', 'source', 'got'),
    [
        ([1, 18], 'igbp', '18'),
        ([-1], 'igbp', '-1'),
        ([254], 'igbp', '254'),
        ([300, 257], 'igbp', r'257, 300'),
        ([11], 'dfc2020', '11'),
        ([255], 'dfc2020', '255'),
    ],
)
def test_codes_outside_the_table_are_named(
    codes: list[int], source: str, got: str
) -> None:
    scheme = get_scheme('dfc2020')
    for kind in (np.array(codes), torch.tensor(codes)):
        with pytest.raises(ValueError, match=rf'Expected {source} codes .*\[{got}\]'):
            scheme.encode(kind, source)  # ty: ignore[invalid-argument-type]


def test_indices_outside_the_scheme_are_named() -> None:
    with pytest.raises(ValueError, match=r'indices of dfc2020-contest .*\[8, 9\]'):
        get_scheme('dfc2020-contest').decode(np.array([0, 8, 9]))


def test_codes_that_are_no_integers_are_refused() -> None:
    with pytest.raises(ValueError, match='integer type, got float32'):
        get_scheme('dfc2020').encode(np.ones(2, dtype=np.float32), 'igbp')


def test_an_unknown_legend_is_no_other_one() -> None:
    with pytest.raises(
        ValueError, match=r"legend .* \('igbp', 'dfc2020'\), got 'IGBP'"
    ):
        get_scheme('dfc2020').encode(np.ones(2, dtype=np.uint8), 'IGBP')  # ty: ignore[invalid-argument-type]


def test_unknown_scheme_is_named() -> None:
    with pytest.raises(ValueError, match=r"'dfc2020-contest'\), got 'igbp'"):
        get_scheme('igbp')


@schemes
@given(
    codes=st.sampled_from(['u1', 'i1', '>u2', '<i2', 'i4', 'u8', 'i8']).flatmap(
        lambda t: arrays(t, (3, 4), elements=st.integers(0, 17))
    ),
    is_turned=st.booleans(),
)
def test_indices_go_where_they_shall(
    scheme: ClassScheme, codes: np.ndarray, is_turned: bool
) -> None:
    kept = [c.code for c in scheme.classes]
    expected = [
        [kept.index(IGBP_TO_CODE[c]) if IGBP_TO_CODE[c] in kept else 255 for c in row]
        for row in codes.tolist()
    ]
    batch = np.full((2, 3, 4), 77, np.uint8)
    out = batch[1]
    if is_turned:  # not in one piece
        codes, out, expected = codes.T, out.T, np.transpose(expected).tolist()
    assert scheme.encode(codes, 'igbp', out) is out
    assert out.tolist() == expected
    assert (batch[0] == 77).all()
    assert scheme.encode(codes, 'igbp').tolist() == expected

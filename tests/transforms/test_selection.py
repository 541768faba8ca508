import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dfc2020_geo.bands import BANDS
from dfc2020_geo.transforms import SelectBands


@given(st.lists(st.sampled_from(sorted(BANDS)), min_size=1, unique=True), st.randoms())
def test_selection_finds_each_band_in_any_order(
    wanted: list[str], random: object
) -> None:
    source = list(BANDS)
    random.shuffle(source)  # ty: ignore[unresolved-attribute]
    numbers = torch.tensor([float(list(BANDS).index(name)) for name in source])
    image = numbers[None, :, None, None].expand(1, -1, 2, 2)
    selected = SelectBands(source, wanted)(image)
    expected = [i for i, name in enumerate(BANDS) if name in wanted]
    assert selected[0, :, 0, 0].tolist() == expected


def test_selection_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"\('VV', 'VH'\) without \['B02'\]"):
        SelectBands(['VV', 'VH'], ['B02', 'VV'])
    with pytest.raises(ValueError, match='2 bands to select from, got 5'):
        SelectBands(['VV', 'VH'], ['VV'])(torch.rand(1, 5, 2, 2))

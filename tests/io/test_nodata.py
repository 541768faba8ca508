import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfc2020_geo.io.nodata import _any_band, valid_pixels
from dfc2020_geo.transforms.scaling import scale_range_

FILLS = st.sampled_from([0, 0, 0, 7, np.nan, np.inf, -np.inf, -25.0])


def test_a_pixel_is_valid_if_any_band_has_data() -> None:
    image = torch.zeros(1, 3, 1, 4)
    image[0, :, 0, 0] = torch.nan
    image[0, 1, 0, 2] = 7
    image[0, 0, 0, 3] = -torch.inf
    assert valid_pixels(image).tolist() == [[[False, False, True, False]]]


@settings(deadline=None)
@given(
    s2=st.sampled_from(['uint8', 'uint16', 'int16']).flatmap(
        lambda t: arrays(t, (2, 3, 2, 3), elements=st.sampled_from([0, 0, 0, 1, 99]))
    ),
    s1=arrays('f4', (2, 2, 2, 3), elements=FILLS),
)
def test_sensors_apart_are_as_valid_as_their_image(
    s2: np.ndarray, s1: np.ndarray
) -> None:
    image = np.concatenate([s2.astype('f4'), s1], axis=1)
    expected = (np.isfinite(image) & (image != 0)).any(axis=1)
    parts = torch.from_numpy(s2), torch.from_numpy(s1)
    assert np.array_equal(valid_pixels(*parts), expected)
    assert np.array_equal(valid_pixels(*reversed(parts)), expected)
    assert np.array_equal(valid_pixels(torch.from_numpy(image)), expected)
    # What an accelerator does instead.
    assert np.array_equal(_any_band(parts), expected)


@settings(deadline=None)
@given(
    values=arrays('f4', 50, elements=st.floats(width=32)),
    limits=st.sampled_from([(-25.0, 0.0), (0.0, 10_000.0), (-1.0, 3.0)]),
)
def test_scaling_clips_and_divides_in_place(
    values: np.ndarray, limits: tuple[float, float]
) -> None:
    low, high = limits
    expected = np.clip(np.where(np.isnan(values), np.float32(low), values), low, high)
    expected = expected / np.float32(high - low) + np.float32(-low / (high - low))
    image = torch.from_numpy(values.copy())
    assert scale_range_(image, low, high, nan=low) is image
    assert np.array_equal(image.numpy(), expected)

"""Raw bands: values in the dtypes of the files, before scaling."""

import numpy as np

from ..bands import Sensor
from ..io.rasters import fill_image
from ..io.tiffs import RawBands

#: Types whose numbers fit uint16, the type of Sentinel-2.
_NARROW = (np.dtype(np.uint8), np.dtype(np.uint16))


def store_bands(
    sensor: Sensor, pixels: RawBands, out: np.ndarray | None = None
) -> np.ndarray:
    """Keep bands in the smallest type that scaling turns into the same bits.

    Args:
        sensor: The sensor of the bands.
        pixels: The bands as they were read. They may be changed.
        out: Where they go, if shape and type fit.

    Returns:
        Array of shape ``(bands, H, W)``: uint16 for Sentinel-2 whose file holds uint8
        or uint16, with 0 where the file declares no data, which is what NaN is scaled
        to; else float32, with NaN there.
    """
    values = pixels.values
    if sensor != 's2' or values.dtype not in _NARROW:
        image = _place(values, np.dtype(np.float32), out)
        fill_image(image, pixels)
        return image
    stored = _place(values, np.dtype(np.uint16), out)
    if stored is not values:
        np.copyto(stored, values)
    if pixels.nodata:
        stored[stored == pixels.nodata] = 0
    return stored


def _place(values: np.ndarray, dtype: np.dtype, out: np.ndarray | None) -> np.ndarray:
    if out is not None and (out.shape, out.dtype) == (values.shape, dtype):
        return out
    return values if values.dtype == dtype else np.empty(values.shape, dtype)

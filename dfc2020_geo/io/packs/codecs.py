"""Lossless codecs of bands in a pack."""

import imagecodecs
import numpy as np

#: The formats of packs, and what they do to a band. Of what makes bands smaller and is
#: read fast, this came out smallest on Sentinel-2, Sentinel-1 and labels alike:
#: differences along the rows, their bits sorted by weight, Zstandard.
FORMATS = {'fast': '', 'compact': 'delta, bitshuffle, zstd'}

#: How many times smaller a band can become, at most: a block of 128 KiB takes 4 bytes.
MAX_RATIO = 1 << 15

_ZSTD_LEVEL = 3


def encode_band(band: np.ndarray, name: str) -> np.ndarray:
    """Bring a band into a format.

    Args:
        band: Array of shape ``(H, W)``.
        name: One of :data:`FORMATS`.

    Returns:
        Bytes, uint8: the band itself where it would not become smaller.
    """
    plain = np.ascontiguousarray(band).reshape(-1).view(np.uint8)
    if not FORMATS[name]:
        return plain
    integers = _integers(np.ascontiguousarray(band))
    differences = np.asarray(imagecodecs.delta_encode(integers)).tobytes()
    if band.itemsize > 1:
        differences = imagecodecs.bitshuffle_encode(differences, itemsize=band.itemsize)
    encoded = imagecodecs.zstd_encode(differences, level=_ZSTD_LEVEL)
    return np.frombuffer(encoded, np.uint8) if len(encoded) < plain.size else plain


def decode_band(encoded: np.ndarray, band: np.ndarray) -> bool:
    """Undo :func:`encode_band` for a band that has become smaller.

    Args:
        encoded: The bytes.
        band: Array of shape ``(H, W)``, to be overwritten.

    Returns:
        Whether these are the bytes of such a band.
    """
    try:
        differences = imagecodecs.zstd_decode(encoded, out=band.nbytes)
        if len(differences) != band.nbytes:
            return False
        if band.itemsize > 1:
            differences = imagecodecs.bitshuffle_decode(
                differences, itemsize=band.itemsize
            )
        integers = _integers(band)
        rows = np.frombuffer(differences, integers.dtype).reshape(band.shape)
        imagecodecs.delta_decode(rows, out=integers)
    except (RuntimeError, ValueError):
        return False
    return True


def _integers(band: np.ndarray) -> np.ndarray:
    """See a band as integers of its size: their differences are exact."""
    return band.view(f'i{band.itemsize}')

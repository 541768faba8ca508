"""The layers of a map: their names, bands and files, and how shares are stored."""

from dataclasses import dataclass

import numpy as np

from ...classes import ClassScheme

#: The layer of class codes, which every map has.
CLASSES = 'classes'

#: What each layer shows.
TITLES = {
    CLASSES: 'Land cover class',
    'probabilities': 'Probability of each class',
    'confidence': 'Probability of the class in the map',
    'entropy': 'Entropy of the probabilities, 1 where all classes are equally likely',
    'disagreement': 'Disagreement between the models of an ensemble',
}

#: A share of 1 as it is stored, so that one step is 0.004.
_FULL = 250

#: What is stored where a share is not known.
SHARE_NODATA = 255

#: What a stored value is multiplied by to give a share.
SHARE_SCALE = 1 / _FULL

_SHARES = np.full(256, np.nan, dtype=np.float32)
_SHARES[: _FULL + 1] = np.arange(_FULL + 1, dtype=np.float32) / _FULL


@dataclass(frozen=True, slots=True)
class Layer:
    """One raster of a map, uint8.

    Attributes:
        name: Its name, one of :data:`TITLES`.
        bands: What each band shows.
    """

    name: str
    bands: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the layer shows."""
        return TITLES[self.name]

    @property
    def is_share(self) -> bool:
        """Whether it holds numbers from 0 to 1, and not codes."""
        return self.name != CLASSES


def find_layer(name: str, scheme: ClassScheme) -> Layer:
    """Return a layer by name.

    Args:
        name: One of :data:`TITLES`.
        scheme: The classes of the map.

    Returns:
        The layer; ``probabilities`` has one band per class of the scheme, the others
        have one.

    Raises:
        ValueError: If there is no such layer.
    """
    if name not in TITLES:
        raise ValueError(f"Expected a layer of {tuple(TITLES)}, got '{name}'.")
    bands = scheme.labels if name == 'probabilities' else [TITLES[name]]
    return Layer(name, tuple(bands))


def encode_share(shares: np.ndarray) -> np.ndarray:
    """Store numbers from 0 to 1 as uint8.

    Args:
        shares: Array of any shape, float, NaN where not known.

    Returns:
        Steps of :data:`SHARE_SCALE`, to the nearest one, :data:`SHARE_NODATA` where
        not known, of the same shape.

    Raises:
        ValueError: If a number is further than rounding from 0 to 1.
    """
    steps = np.multiply(shares, _FULL, dtype=np.float32)
    np.rint(steps, out=steps)
    unknown = np.isnan(steps)
    np.copyto(steps, 0, where=unknown)
    if steps.size and not 0 <= steps.min() <= steps.max() <= _FULL:
        raise ValueError(
            f'Expected shares from 0 to 1, got {np.nanmin(shares)} to '
            f'{np.nanmax(shares)}.'
        )
    np.copyto(steps, SHARE_NODATA, where=unknown)
    return steps.astype(np.uint8)


def decode_share(stored: np.ndarray) -> np.ndarray:
    """Turn what :func:`encode_share` gave back into numbers.

    Args:
        stored: Array of any shape, uint8.

    Returns:
        Shares of the same shape, float32, NaN where not known.
    """
    return _SHARES[stored]

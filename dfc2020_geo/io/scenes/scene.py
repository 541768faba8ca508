"""A scene: Sentinel-1 and Sentinel-2 on one grid, read window by window."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)

from ..grid import RasterGrid
from .headers import Handles
from .layers import Layer
from .radiometry import Coding, decode


class Pixels(Protocol):
    """Some pixels along one axis: a slice, or a span of a tiling."""

    @property
    def start(self) -> int:
        """The first of them."""
        ...

    @property
    def stop(self) -> int:
        """The one after the last."""
        ...


@dataclass(frozen=True)
class Scene:
    """The bands of a scene that a network reads, on one grid.

    Files are opened when they are first read, by each process and thread on its own; a
    scene can be pickled and survives a fork.

    Attributes:
        name: Name of the scene.
        grid: Its pixels on the ground.
        bands: Names of the channels, in the order of :data:`~dfc2020_geo.bands.BANDS`.
        notes: What a user should be told: where each band comes from, which offset was
            read where, what declares no data, what is warped.
        layers: The files that are read.
        codings: What the numbers of each sensor mean.
    """

    name: str
    grid: RasterGrid
    bands: tuple[str, ...]
    notes: tuple[str, ...]
    layers: tuple[Layer, ...]
    codings: tuple[Coding, ...]
    _handles: Handles = field(default_factory=Handles, repr=False, compare=False)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.grid.height

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.grid.width

    @property
    def crs(self) -> CRS:
        """Coordinate reference system."""
        assert self.grid.crs is not None  # checked when the scene was opened
        return self.grid.crs

    @property
    def transform(self) -> Affine:
        """From columns and rows to coordinates."""
        return self.grid.transform

    def estimate_blocks(self, num_rows: int) -> int:
        """Return the bytes of the compressed blocks that some rows touch.

        With room for them, no block is decompressed twice while rows are read that
        share some with the rows before. Other blocks are quick to read again.

        Args:
            num_rows: Number of rows.
        """
        files = {layer.file.path: layer.file for layer in self.layers}
        compressed = [file for file in files.values() if not file.is_plain]
        return sum(file.estimate_blocks(num_rows) for file in compressed)

    def read(
        self, rows: Pixels | tuple[int, int], columns: Pixels | tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a window.

        Args:
            rows: First row and the one after the last, within the scene.
            columns: The same of columns.

        Returns:
            The image, of shape ``(C, H, W)``, float32, Sentinel-2 in reflectance x
            10 000 and Sentinel-1 in decibels, NaN where a file has no data: what that
            becomes is a setting of the scaling, as it was in training. And whether
            there are data of all sensors, of shape ``(H, W)``, bool.

        Raises:
            ValueError: If the window leaves the scene or has no pixels.
            RuntimeError: If a file cannot be read; the message says where.
        """
        rows = _within(rows, self.height, 'rows')
        columns = _within(columns, self.width, 'columns')
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        image = np.empty((len(self.bands), *shape), np.float32)
        is_whole = np.ones(len(self.bands), np.bool_)
        for layer in self.layers:
            known = layer.read(self._handles, rows, columns, image)
            is_whole[list(layer.channels)] = known
        valid = np.ones(shape, np.bool_)
        for coding in self.codings:
            channels = coding.channels
            valid &= decode(image[channels], coding, bool(is_whole[channels].all()))
        return image, valid

    def close(self) -> None:
        """Close the files that this process has open; reading opens them again."""
        self._handles.close()


def _within(pixels: Pixels | tuple[int, int], length: int, axis: str) -> slice:
    ends = pixels if isinstance(pixels, tuple) else (pixels.start, pixels.stop)
    if not 0 <= ends[0] < ends[1] <= length:
        raise ValueError(
            f'Expected {axis} within the {length} of the scene, got {ends[0]} to '
            f'{ends[1]}.'
        )
    return slice(int(ends[0]), int(ends[1]))

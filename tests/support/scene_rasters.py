"""Small scenes whose values say where they are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.warp import transform as transform_points

NUM_S2, NUM_S1 = 13, 2


@dataclass(frozen=True)
class Place:
    """Where a raster lies."""

    crs: str
    x: float
    y: float
    height: int
    width: int
    res: float = 10.0

    @property
    def transform(self) -> Affine:
        return Affine(self.res, 0, self.x, 0, -self.res, self.y)

    def centres(self, crs: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of the centre of each pixel, perhaps in another CRS."""
        columns, rows = np.meshgrid(np.arange(self.width), np.arange(self.height))
        x, y = self.x + (columns + 0.5) * self.res, self.y - (rows + 0.5) * self.res
        if crs is None or crs == self.crs:
            return x, y
        moved = transform_points(self.crs, crs, x.ravel(), y.ravel())
        east, north = (np.reshape(values, x.shape) for values in moved[:2])
        return east, north


def pixel_numbers(place: Place, grid: Place) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a place lie in a grid: columns and rows, with fractions."""
    x, y = place.centres(grid.crs)
    return (x - grid.x) / grid.res - 0.5, (grid.y - y) / grid.res - 0.5


def write(
    path: Path,
    image: np.ndarray,
    place: Place,
    nodata: float | None = None,
    names: tuple[str, ...] | None = None,
) -> Path:
    """Write a GeoTIFF of shape (bands, H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, 'w', driver='GTiff', count=len(image), height=place.height,
        width=place.width, dtype=image.dtype, crs=place.crs or None,
        transform=place.transform, nodata=nodata, tiled=True, blockxsize=32,
        blockysize=32,
    ) as raster:  # fmt: skip
        raster.write(image)
        if names:
            raster.descriptions = names
    return path


def s2_image(place: Place) -> np.ndarray:
    """Band 1 holds columns + 1, band 2 rows + 1, band i the number 100 i."""
    image = np.empty((NUM_S2, place.height, place.width), np.uint16)
    image[:] = 100 * np.arange(1, NUM_S2 + 1)[:, None, None]
    image[0] = np.arange(place.width) + 1
    image[1] = np.arange(place.height)[:, None] + 1
    return image


def s1_image(place: Place, grid: Place) -> np.ndarray:
    """VV and VH hold minus columns and rows of a grid, less 5."""
    columns, rows = pixel_numbers(place, grid)
    return np.stack([-columns - 5, -rows - 5]).astype(np.float32)


def codes(place: Place, grid: Place | None = None) -> np.ndarray:
    """DFC2020 codes 0 to 10 that change from pixel to pixel of a grid."""
    columns, rows = (
        np.rint(v).astype(int) for v in pixel_numbers(place, grid or place)
    )
    return ((3 * rows + 7 * columns + rows * columns // 5) % 11).astype(np.uint8)[None]

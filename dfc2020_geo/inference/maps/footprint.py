"""Where the pixels of a scene lie on the Earth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.warp import transform_geom

from ...io.rasters import GDAL_ERRORS

#: Longitude and latitude, in this order.
DEGREES = CRS.from_epsg(4326)

#: Digits of a degree behind the point: a centimetre.
_DIGITS = 7

#: Parts into which a side is cut before it is projected.
_PIECES = 8


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels of a scene.

    Attributes:
        height: Number of rows.
        width: Number of columns.
        crs: Coordinate reference system.
        transform: From columns and rows to coordinates.
    """

    height: int
    width: int
    crs: CRS
    transform: Affine

    def describe(self) -> dict[str, Any]:
        """Return the grid as plain values, equal for equal grids."""
        return {
            'height': self.height,
            'width': self.width,
            'crs': self.crs.to_wkt(),
            'transform': list(self.transform)[:6],
        }

    def outline(self) -> dict[str, Any]:
        """Return the outer edge as a GeoJSON polygon, counterclockwise, in the CRS."""
        steps = np.linspace(0, 1, _PIECES + 1)[:-1]
        zeros, ones = np.zeros(_PIECES), np.ones(_PIECES)
        columns = np.concatenate([zeros, steps, ones, 1 - steps]) * self.width
        rows = np.concatenate([steps, ones, 1 - steps, zeros]) * self.height
        if self.transform.determinant > 0:
            columns, rows = columns[::-1], rows[::-1]
        ring = self.place(columns.tolist(), rows.tolist())
        return {'type': 'Polygon', 'coordinates': [[*ring, ring[0]]]}

    def place(
        self, columns: Sequence[float], rows: Sequence[float]
    ) -> list[tuple[float, float]]:
        """Return the coordinates of points that are given in pixels."""
        a, b, c, d, e, f = list(self.transform)[:6]
        return [
            (a * column + b * row + c, d * column + e * row + f)
            for column, row in zip(columns, rows, strict=True)
        ]


def footprint(grid: Grid) -> dict[str, Any]:
    """Return the outer edge of a grid in degrees, as GeoJSON.

    Args:
        grid: The pixels.

    Returns:
        A polygon, or one on each side of the antimeridian.

    Raises:
        ValueError: If the grid does not lie on the Earth.
    """
    try:
        outline = grid.outline()
        found = transform_geom(grid.crs, DEGREES, outline, precision=_DIGITS)
        west, south, east, north = bounds(found)
    except (*GDAL_ERRORS, ValueError, KeyError, SystemError) as error:
        # SystemError is what rasterio makes of a failure that GDAL gives no reason for.
        raise _off_the_earth(grid) from error
    if not -180 <= west <= 180 or not -90 <= south <= north <= 90 or east > 180:
        raise _off_the_earth(grid)
    return found


def _off_the_earth(grid: Grid) -> ValueError:
    return ValueError(
        f'Expected a grid on the Earth, got {grid.crs} with {grid.transform!r}; correct '
        "the scene's georeferencing."
    )


def bounds(geometry: dict[str, Any]) -> list[float]:
    """Return the bounding box of a polygon, or of two beside the antimeridian.

    Args:
        geometry: GeoJSON, in degrees.

    Returns:
        West, south, east and north; west > east across the antimeridian.
    """
    if geometry['type'] == 'Polygon':
        points = geometry['coordinates'][0]
        x, y = [p[0] for p in points], [p[1] for p in points]
        return [min(x), min(y), max(x), max(y)]
    boxes = [
        bounds({'type': 'Polygon', 'coordinates': rings})
        for rings in geometry['coordinates']
    ]
    west = min(box[0] for box in boxes if box[2] > 0)
    east = max(box[2] for box in boxes if box[0] < 0)
    return [west, min(box[1] for box in boxes), east, max(box[3] for box in boxes)]

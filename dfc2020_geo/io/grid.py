"""Raster grids: size, CRS and geotransform, and how one grid lies in another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.warp import transform as transform_points

#: Pixels by which grids may differ that are meant to be the same.
_TOLERANCE = 0.01

#: Points along each side of a grid that say where it lies in another CRS.
_POINTS = 21

#: Degrees of longitude.
_HALF_TURN = 180
_TURN = 2 * _HALF_TURN

#: Parts into which a side is cut before it is projected.
_PIECES = 8


@dataclass(frozen=True, slots=True)
class RasterGrid:
    """Size, CRS and geotransform of a raster.

    Attributes:
        crs: Coordinate reference system; None if it is not known.
        transform: From columns and rows to coordinates, in units of the CRS.
        height: Number of rows.
        width: Number of columns.

    Example:
        >>> grid = RasterGrid(CRS.from_epsg(32632), Affine(10, 0, 0, 0, -10, 90), 9, 5)
        >>> grid.window(slice(2, 4), slice(1, 5)).describe()
        '2 x 4 pixels of EPSG:32632 at (10, 0, 10, 0, -10, 70)'
    """

    crs: CRS
    transform: Affine
    height: int
    width: int

    @property
    def is_georeferenced(self) -> bool:
        """Whether there are a CRS and a geotransform that can be inverted."""
        known = not (self.transform.is_identity or self.transform.is_degenerate)
        return bool(self.crs) and known

    @property
    def known_crs(self) -> CRS:
        """The CRS of a grid that has one, which was checked before."""
        assert self.crs is not None, 'a grid that is georeferenced has a CRS'
        return self.crs

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in units of the CRS."""
        return abs(self.transform.determinant)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def profile(self) -> dict[str, Any]:
        """Arguments ``height``, ``width``, ``crs`` and ``transform`` of rasterio."""
        names = ('height', 'width', 'crs', 'transform')
        return {name: getattr(self, name) for name in names}

    @property
    def is_north_up(self) -> bool:
        """Whether rows go south and columns east."""
        a, b, _, d, e, _ = self.transform[:6]
        return a > 0 > e and b == d == 0

    def window(self, rows: slice, columns: slice) -> 'RasterGrid':
        """Return the grid of a window.

        Args:
            rows: First row and the one after the last; they may lie outside.
            columns: The same of columns.

        Returns:
            The grid of these pixels.
        """
        return RasterGrid(
            self.crs,
            self.transform @ Affine.translation(columns.start, rows.start),
            rows.stop - rows.start,
            columns.stop - columns.start,
        )

    def describe(self) -> str:
        """Return size, CRS and geotransform as a text, for messages.

        Returns:
            One line of text.
        """
        crs = self.crs.to_string() if self.crs else 'no CRS'
        numbers = ', '.join(f'{value:.10g}' for value in self.transform[:6])
        return f'{self.height} x {self.width} pixels of {crs} at ({numbers})'

    def to_dict(self) -> dict[str, Any]:
        """Return the grid as plain values, equal for equal grids.

        Returns:
            ``height``, ``width``, ``crs`` (WKT, or None) and ``transform`` (six
            numbers).
        """
        return {
            'height': self.height,
            'width': self.width,
            'crs': self.crs.to_wkt() if self.crs else None,
            'transform': list(self.transform)[:6],
        }

    def coordinates(
        self, columns: Sequence[float], rows: Sequence[float]
    ) -> list[tuple[float, float]]:
        """Return the coordinates of points that are given in pixels.

        Args:
            columns: Column of each point, 0 at the left edge of the first pixel.
            rows: Row of each point, 0 at the upper edge of the first pixel.

        Returns:
            x and y of each point, in units of the CRS.
        """
        return [
            self.transform @ (column, row)
            for column, row in zip(columns, rows, strict=True)
        ]

    @property
    def longitude(self) -> float | None:
        """Longitude of the middle in degrees; None in a CRS with other units."""
        if not self.crs or not self.crs.is_geographic:
            return None
        return (self.transform @ (self.width / 2, self.height / 2))[0]

    def outline(self) -> dict[str, Any]:
        """Return the outer edge as a GeoJSON polygon, counterclockwise, in the CRS.

        Returns:
            The polygon, with extra points on its edges.
        """
        steps = np.linspace(0, 1, _PIECES + 1)[:-1]
        zeros, ones = np.zeros(_PIECES), np.ones(_PIECES)
        columns = np.concatenate([zeros, steps, ones, 1 - steps]) * self.width
        rows = np.concatenate([steps, ones, 1 - steps, zeros]) * self.height
        if self.transform.determinant > 0:
            columns, rows = columns[::-1], rows[::-1]
        ring = self.coordinates(columns.tolist(), rows.tolist())
        return {'type': 'Polygon', 'coordinates': [[*ring, ring[0]]]}


@dataclass(frozen=True)
class Lattice:
    """Where the pixels of a grid lie in a raster of the same CRS and directions.

    Attributes:
        rows: Number of the raster's rows from one row of the grid to the next, and the
            raster's row at which the grid begins.
        columns: The same of columns.
    """

    rows: tuple[float, float]
    columns: tuple[float, float]

    @property
    def is_equal_size(self) -> bool:
        """Whether the pixels of both are of the same size."""
        return self.rows[0] == self.columns[0] == 1

    @property
    def shift(self) -> tuple[int, int] | None:
        """The raster's row and column of the grid's first pixel, if all coincide."""
        starts = (self.rows[1], self.columns[1])
        if self.is_equal_size and all(start.is_integer() for start in starts):
            return int(starts[0]), int(starts[1])
        return None


def lattice(grid: RasterGrid, raster: RasterGrid) -> Lattice | None:
    """Find the pixels of a grid in a raster.

    Args:
        grid: The pixels to find.
        raster: The raster's own.

    Returns:
        Where they are; None if the CRS or the directions of the axes differ.
    """
    if grid.crs != raster.crs:
        return None
    transform = raster.transform
    if (middle := grid.longitude) is not None and raster.longitude is not None:
        turn = count_from(raster.longitude, middle) - raster.longitude
        transform = Affine.translation(turn, 0) @ transform if turn else transform
    a, b, c, d, e, f = (~transform @ grid.transform)[:6]
    if max(abs(b) * grid.height, abs(d) * grid.width) > _TOLERANCE:
        return None
    return Lattice(_axis(e, f, grid.height), _axis(a, c, grid.width))


def _axis(step: float, start: float, length: int) -> tuple[float, float]:
    """Round what is meant to be a whole number."""
    near, begin = round(step) or step, round(start)
    if abs(step - near) * length > _TOLERANCE:
        return step, start
    return float(near), float(begin) if abs(start - begin) <= _TOLERANCE else start


def covers(found: Lattice, grid: RasterGrid, raster: RasterGrid) -> bool:
    """Tell whether a raster has every pixel of a grid, but for a part of its own one.

    Args:
        found: Where the pixels of the grid lie in the raster.
        grid: The pixels asked for.
        raster: The raster's own.

    Returns:
        True if it has.
    """
    axes = (
        (found.rows, grid.height, raster.height),
        (found.columns, grid.width, raster.width),
    )
    return all(
        -1 < low <= high < size + 1
        for (step, start), length, size in axes
        for low, high in [sorted((start, start + step * length))]
    )


def nearest(axis: tuple[float, float], pixels: slice) -> np.ndarray:
    """Find the nearest pixel of a raster for some pixels of a grid along one axis.

    Args:
        axis: Rows or columns of a :class:`Lattice`.
        pixels: The grid's pixels asked for.

    Returns:
        A position in the raster for each of them, perhaps beyond its edges.
    """
    step, start = axis
    centres = np.arange(pixels.start, pixels.stop) + 0.5
    return np.floor(start + step * centres).astype(int)


def overlaps(raster: RasterGrid, grid: RasterGrid) -> bool:
    """Tell whether a raster may have pixels of a grid; both are georeferenced.

    Args:
        raster: Grid of the raster
        grid: Grid of the pixels asked for.

    Returns:
        False if it has none.
    """
    side, zero = np.linspace(0, 1, _POINTS), np.zeros(_POINTS)
    columns = raster.width * np.concatenate([side, side, zero, zero + 1])
    rows = raster.height * np.concatenate([zero, zero + 1, side, side])
    x, y = raster.transform @ (columns, rows)  # ty: ignore[unsupported-operator]
    x, y = map(np.asarray, transform_points(raster.crs, grid.crs, x, y)[:2])
    known = np.isfinite(x) & np.isfinite(y)  # where the grid's CRS reaches
    if not known.any():
        return False
    x, y = x[known], y[known]
    if (middle := grid.longitude) is not None:
        # Around the raster first: an edge may be half a turn from the grid.
        x = count_from(x, x[0])
        x = x + count_from(x.mean(), middle) - x.mean()
    columns, rows = ~grid.transform @ (x, y)
    beside = columns.max() <= 0 or columns.min() >= grid.width
    return not (beside or rows.max() <= 0 or rows.min() >= grid.height)


def count_from(longitude: Any, middle: float) -> Any:
    """Count longitudes such that they are at most half a turn from another one.

    Args:
        longitude: Longitudes in degrees: a number or an array.
        middle: The other one; 181 and -179 are the same, and both are in use.

    Returns:
        The same longitudes, as whole turns more or less.
    """
    return longitude + _TURN * np.round((middle - longitude) / _TURN)


def steps(raster: RasterGrid, grid: RasterGrid) -> tuple[float, float]:
    """Measure how many pixels of a grid one column and one row of a raster span.

    Args:
        raster: The raster's own pixels.
        grid: The pixels of the grid.

    Returns:
        Their number along the raster's columns and along its rows, at the middle of
        the grid.
    """
    columns = grid.width / 2 + np.array([0, 1, 0])
    rows = grid.height / 2 + np.array([0, 0, 1])
    x, y = grid.transform @ (columns, rows)  # ty: ignore[unsupported-operator]
    x, y = map(np.asarray, transform_points(grid.crs, raster.crs, x, y)[:2])
    if raster.known_crs.is_geographic and np.ptp(x) > _HALF_TURN:  # across 180 degrees
        x = x % (2 * _HALF_TURN)
    columns, rows = ~raster.transform @ (x, y)
    across = np.hypot(*(columns[1:] - columns[0]))
    down = np.hypot(*(rows[1:] - rows[0]))
    return float(1 / across), float(1 / down)

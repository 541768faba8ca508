"""The footprint of a grid: its outer edge in degrees."""

from typing import Any

from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.warp import transform_geom

from ...io.grid import RasterGrid
from ...io.rasters import GDAL_ERRORS

#: Longitude and latitude, in this order.
DEGREES = CRS.from_epsg(4326)

#: Digits of a degree behind the point: a centimetre.
_DIGITS = 7


def footprint(grid: RasterGrid) -> dict[str, Any]:
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


def _off_the_earth(grid: RasterGrid) -> ValueError:
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

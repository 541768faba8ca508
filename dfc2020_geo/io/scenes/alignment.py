"""How the pixels of a file come to the grid of a scene, and where they cannot."""

from ...bands import Sensor
from ..grid import Lattice, covers, lattice, overlaps
from ..rasters import GDAL_ERRORS
from .headers import RasterFacts


def require_georeference(file: RasterFacts) -> None:
    """Check that it is known where a raster is.

    Args:
        file: The raster.

    Raises:
        RuntimeError: If it is not; the message names the raster.
    """
    if file.grid.is_georeferenced:
        return
    if file.has_gcps:
        raise RuntimeError(
            f'Expected a raster on a map, got {file.path} with ground control points '
            'alone; Sentinel-1 as ESA delivers it must be calibrated to sigma nought '
            'and terrain corrected, other rasters warped with gdalwarp.'
        )
    lacks = 'without a CRS' if file.grid.crs is None else 'with the identity transform'
    raise RuntimeError(
        f'Expected a georeferenced raster, got {file.path} {lacks}; give it its place '
        'with gdal_edit.py (-a_srs, -a_ullr), or predict it as a patch.'
    )


def fit(file: RasterFacts, main: RasterFacts, sensor: Sensor) -> Lattice | None:
    """Find the pixels of a scene in a file.

    Args:
        file: The file.
        main: The file whose grid the scene has.
        sensor: The sensor whose image is in the file.

    Returns:
        Where they are; None if the file has to be warped.

    Raises:
        RuntimeError: If the file has no place on the ground, lies elsewhere, or is of
            Sentinel-2 and its pixels are no part or multiple of the scene's.
    """
    require_georeference(file)
    place = lattice(main.grid, file.grid)
    if sensor == 's2':
        return _multiple(place, file, main)
    if not _overlaps(file, main):
        raise RuntimeError(
            f'Expected images of one place, got {file.path}, {file.grid.describe()}, '
            f'that does not overlap {main.path}, {main.grid.describe()}; name images '
            'that belong together.'
        )
    return place if place and place.shift is not None else None


def _overlaps(file: RasterFacts, main: RasterFacts) -> bool:
    try:
        return overlaps(file.grid, main.grid)
    except GDAL_ERRORS as error:
        raise RuntimeError(
            f'Expected images on maps of the same Earth, got {file.path}, '
            f'{file.grid.describe()}, beside {main.path}, {main.grid.describe()} '
            f'({error}); warp one of them to the CRS of the other.'
        ) from error


def _multiple(place: Lattice | None, file: RasterFacts, main: RasterFacts) -> Lattice:
    fits = place is not None and covers(place, main.grid, file.grid)
    if place is None or not fits or (place.is_equal_size and place.shift is None):
        raise RuntimeError(
            f'Expected bands of Sentinel-2 on one grid, got {file.path}, '
            f'{file.grid.describe()}, beside {main.path}, {main.grid.describe()}; cut or '
            'warp them to the same extent and CRS first.'
        )
    return place

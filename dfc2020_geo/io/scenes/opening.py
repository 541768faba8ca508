"""Opening scenes: their bands and files, and how these come to one grid."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import get_args

from ...bands import Band, Sensor, select_bands
from ..grid import Lattice, RasterGrid, covers, lattice, overlaps
from ..rasters import GDAL_ERRORS
from .headers import MAX_SCENE_SIZE, Handles, RasterHeader
from .products import SceneImages, open_product
from .radiometry import Coding
from .reading import BandReader, Scene
from .report import write_notes
from .sensor_images import BandFile, SensorImages, find_bands
from .warping import TOLERANCE, ResamplingName

#: Pixels of a file for one of a grid, beyond which the nearest are left to GDAL, which
#: does not read all of them at once.
_MOST_STEPS = 4

#: What is nearest must not depend on the window; GDAL takes no 0.
_EXACT = 1e-9


def open_scene(
    s2: SceneImages | None = None,
    s1: SceneImages | None = None,
    bands: Sequence[str | Band] = ('s2', 's1'),
    s2_bands: Sequence[str] | None = None,
    s1_bands: Sequence[str] | None = None,
    s2_offset: float | None = None,
    s1_power: bool = False,
    resampling: ResamplingName = 'bilinear',
    max_scene_size: float = MAX_SCENE_SIZE,
) -> Scene:
    """Open a scene on the grid of its 10 m bands of Sentinel-2.

    Args:
        s2: Images of Sentinel-2: a file of several bands, a folder or a list of files,
            a product in ESA's layout, packed or not, or a virtual path of GDAL; or the
            product that was found there.
        s1: The same of Sentinel-1, sigma nought.
        bands: Names of the bands or band sets to read.
        s2_bands: Names of the bands of Sentinel-2 in the order of the files, where they
            cannot be recognised.
        s1_bands: The same of Sentinel-1.
        s2_offset: What is added to the stored numbers of Sentinel-2, -1000 since
            processing baseline 04.00; None to take what the metadata of a product say,
            and 0 for files without them.
        s1_power: Whether Sentinel-1 is linear power, to be converted to decibels.
        resampling: How Sentinel-1 is brought to the grid, if it is on another one.
        max_scene_size: Most pixels on a side of a file. One that claims more is refused by
            its header, before memory is asked for.

    Returns:
        The scene; its image is not read yet.

    Raises:
        FileNotFoundError: If images or metadata are missing.
        RuntimeError: If a file is damaged, lacks bands or georeferencing, or does not suit
            the others; the message names it.
        ValueError: If an argument does not suit.

    Examples:
        >>> import tempfile
        >>> from dfc2020_geo.synthetic import write_scene
        >>> files = write_scene(tempfile.mkdtemp(), shape=(40, 60))
        >>> scene = open_scene(files.s2, files.s1, bands=['s2-10m', 's1'])
        >>> scene.bands
        ('B02', 'B03', 'B04', 'B08', 'VV', 'VH')
        >>> scene.grid.shape
        (40, 60)
    """
    _check(resampling, s2_offset)
    images = []
    for sensor, wanted in groupby(select_bands(bands), key=lambda band: band.sensor):
        if sensor == 's2':
            found = find_bands(
                tuple(wanted), s2, s2_bands, s2_offset, max_size=max_scene_size
            )
        else:
            found = find_bands(
                tuple(wanted), s1, s1_bands, power=s1_power, max_size=max_scene_size
            )
        images.append(found)
    main = images[0].finest
    readers: list[BandReader] = []
    codings: list[Coding] = []
    notes: list[str] = []
    for item in images:
        for file in (main, *item.files):
            require_georeference(file)
        start = sum(len(coding.nodata) for coding in codings)
        own = [
            replace(reader, lattice=_fit(reader.file, main, item.sensor))
            for reader in read_files(item.read, main.grid, resampling, start, TOLERANCE)
        ]
        readers += own
        codings.append(item.coding(start))
        notes += write_notes(item, own)
    names = tuple(band.name for item in images for band in item.bands)
    name = images[0].product.name
    return Scene(name, main.grid, names, tuple(notes), tuple(readers), tuple(codings))


def _check(resampling: str, s2_offset: float | None) -> None:
    if resampling not in get_args(ResamplingName):
        raise ValueError(
            f'Expected resampling to be one of {get_args(ResamplingName)}, got '
            f"'{resampling}'."
        )
    if s2_offset is not None and not math.isfinite(s2_offset):
        raise ValueError(f'Expected s2_offset to be a number, got {s2_offset}.')


def open_bands(
    bands: Mapping[Band, BandFile],
    grid: RasterGrid,
    resampling: Mapping[Sensor, str],
    s2_offset: float | None,
    handles: Handles,
) -> Scene:
    """Open bands of files on a grid that need not be theirs, for training.

    Args:
        bands: The file of each band, in channel order.
        grid: The grid to read on; windows may lie outside it.
        resampling: How each sensor is brought to it from another one.
        s2_offset: What is added to the stored numbers of Sentinel-2; None for what is
            known of their product.
        handles: Where rasters are kept open.

    Returns:
        The scene.
    """
    readers: list[BandReader] = []
    codings: list[Coding] = []
    for sensor, own in groupby(bands, key=lambda band: band.sensor):
        files = [bands[band] for band in own]
        start = sum(len(coding.nodata) for coding in codings)
        readers += read_files(files, grid, resampling[sensor], start)
        codings.append(gather_images(bands, sensor, s2_offset).coding(start))
    names = tuple(band.name for band in bands)
    path = next(iter(bands.values())).file.path
    return Scene(path, grid, names, (), tuple(readers), tuple(codings), (), handles)


def gather_images(
    bands: Mapping[Band, BandFile], sensor: Sensor, s2_offset: float | None
) -> SensorImages:
    """Bring bands of files together with what is known of their product.

    Args:
        bands: The file of each band, in channel order.
        sensor: The sensor whose images are asked for.
        s2_offset: What is added to the stored numbers of Sentinel-2; None for what is
            known of their product.

    Returns:
        The images.
    """
    own = {band: file for band, file in bands.items() if band.sensor == sensor}
    paths = [*dict.fromkeys(file.file.path for file in own.values())]
    files = {band.name: file for band, file in own.items()}
    return SensorImages(open_product(paths, sensor), tuple(own), files, s2_offset)


def read_files(
    bands: Iterable[BandFile],
    grid: RasterGrid,
    resampling: str,
    start: int = 0,
    tolerance: float | None = None,
    fill: float | None = 0,
) -> list[BandReader]:
    """Read bands of files on a grid that need not be theirs.

    Args:
        bands: The file of each band, in channel order.
        grid: The grid to read on.
        resampling: How they are brought to it from another one.
        start: Channel of the first band.
        tolerance: Largest error of a warped position, in pixels; by default none where
            the nearest pixels are read.
        fill: Number without data in bands that declare none, where they are warped.

    Returns:
        A reader of each file.
    """
    by_path: dict[str, list[tuple[int, BandFile]]] = {}
    for channel, band in enumerate(bands, start):
        by_path.setdefault(band.file.address, []).append((channel, band))
    is_nearest = resampling == 'nearest'
    if tolerance is None:
        tolerance = _EXACT if is_nearest else TOLERANCE
    return [
        BandReader(
            file=found[0][1].file,
            indexes=tuple(band.index for _, band in found),
            channels=tuple(channel for channel, _ in found),
            grid=grid,
            lattice=_align(found[0][1].file.grid, grid, is_nearest),
            resampling=resampling,
            tolerance=tolerance,
            fill=fill,
        )
        for found in by_path.values()
    ]


def _align(file: RasterGrid, grid: RasterGrid, is_nearest: bool) -> Lattice | None:
    """Find the pixels of a grid in a file, if it need not be warped."""
    found = lattice(grid, file)
    if found is None or found.shift is not None:
        return found
    steps = (abs(found.rows[0]), abs(found.columns[0]))
    return found if is_nearest and max(steps) <= _MOST_STEPS else None


def require_georeference(file: RasterHeader) -> None:
    """Check that a raster has a CRS and a geotransform.

    Args:
        file: The raster.

    Raises:
        RuntimeError: If it has not; the message names it.
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
        f'Expected a georeferenced raster, got {file.path} {lacks}; '
        'georeference it with gdal_edit.py (-a_srs, -a_ullr), or predict it as a patch.'
    )


def _fit(file: RasterHeader, main: RasterHeader, sensor: Sensor) -> Lattice | None:
    """Find the pixels of a scene in a file.

    Args:
        file: The file.
        main: The file whose grid the scene has.
        sensor: The sensor whose image is in the file.

    Returns:
        Where they are; None if the file has to be warped.

    Raises:
        RuntimeError: If the file lies elsewhere, or is of Sentinel-2 and its pixels are
            no part or multiple of the scene's.
    """
    found = lattice(main.grid, file.grid)
    if sensor == 's2':
        return _multiple(found, file, main)
    try:
        is_near = overlaps(file.grid, main.grid)
    except GDAL_ERRORS as error:
        raise RuntimeError(
            f'Expected images on maps of the same Earth, got {file.path}, '
            f'{file.grid.describe()}, beside {main.path}, {main.grid.describe()} '
            f'({error}); warp one of them to the CRS of the other.'
        ) from error
    if not is_near:
        raise RuntimeError(
            f'Expected images that overlap, got {file.path}, {file.grid.describe()}, '
            f'that does not overlap {main.path}, {main.grid.describe()}; name images '
            'that belong together.'
        )
    return found if found and found.shift is not None else None


def _multiple(found: Lattice | None, file: RasterHeader, main: RasterHeader) -> Lattice:
    fits = found is not None and covers(found, main.grid, file.grid)
    if found is None or not fits or (found.is_equal_size and found.shift is None):
        raise RuntimeError(
            f'Expected bands of Sentinel-2 on one grid, got {file.path}, '
            f'{file.grid.describe()}, beside {main.path}, {main.grid.describe()}; cut or '
            'warp them to the same extent and CRS first.'
        )
    return found

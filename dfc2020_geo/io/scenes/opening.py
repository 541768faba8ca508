"""Opening scenes: their bands and files, and how these come to one grid."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

from ...bands import Band, Sensor, select_bands
from ..grid import Lattice, RasterGrid, covers, lattice, overlaps
from ..rasters import GDAL_ERRORS
from .headers import Handles, RasterHeader
from .products import ImagePaths
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
    s2: ImagePaths | None = None,
    s1: ImagePaths | None = None,
    bands: Sequence[str | Band] = ('s2', 's1'),
    s2_bands: Sequence[str] | None = None,
    s1_bands: Sequence[str] | None = None,
    s2_offset: float | None = None,
    s1_power: bool = False,
    resampling: ResamplingName = 'bilinear',
) -> Scene:
    """Open a scene on the grid of its 10 m bands of Sentinel-2.

    Args:
        s2: Images of Sentinel-2: a file of several bands, a folder or a list of files,
            a product in ESA's layout, packed or not, or a virtual path of GDAL.
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

    Returns:
        The scene; its image is not read yet.

    Raises:
        FileNotFoundError: If images or metadata are missing.
        RuntimeError: If a file is damaged, lacks bands or a place on the ground, or does
            not suit the others; the message names it.
        ValueError: If an argument does not suit.

    Examples:
        >>> import tempfile
        >>> from dfc2020_geo.synthetic.scene_files import write_scene
        >>> files = write_scene(tempfile.mkdtemp(), shape=(40, 60))
        >>> scene = open_scene(files.s2, files.s1, bands=['s2-10m', 's1'])
        >>> scene.bands
        ('B02', 'B03', 'B04', 'B08', 'VV', 'VH')
        >>> scene.height, scene.width
        (40, 60)
    """
    _check(resampling, s2_offset)
    selected = select_bands(bands)
    finders: dict[Sensor, Callable[[tuple[Band, ...]], SensorImages]] = {
        's2': lambda wanted: find_bands(wanted, s2, s2_bands, given_offset=s2_offset),
        's1': lambda wanted: find_bands(wanted, s1, s1_bands, power=s1_power),
    }
    images = [
        find(wanted)
        for sensor, find in finders.items()
        if (wanted := tuple(band for band in selected if band.sensor == sensor))
    ]
    main = images[0].finest
    require_georeference(main)
    channels = {band.name: channel for channel, band in enumerate(selected)}
    readers = [_readers(item, channels, main, resampling) for item in images]
    return Scene(
        name=images[0].product.name,
        grid=main.grid,
        bands=tuple(channels),
        notes=tuple(
            note
            for item, own in zip(images, readers, strict=True)
            for note in write_notes(item, own)
        ),
        readers=tuple(reader for own in readers for reader in own),
        codings=tuple(item.coding(channels[item.bands[0].name]) for item in images),
    )


def _check(resampling: str, s2_offset: float | None) -> None:
    if resampling not in get_args(ResamplingName):
        raise ValueError(
            f'Expected resampling to be one of {get_args(ResamplingName)}, got '
            f"'{resampling}'."
        )
    if s2_offset is not None and not math.isfinite(s2_offset):
        raise ValueError(f'Expected s2_offset to be a number, got {s2_offset}.')


def _readers(
    images: SensorImages,
    channels: dict[str, int],
    main: RasterHeader,
    resampling: ResamplingName,
) -> list[BandReader]:
    return [
        BandReader(
            file=file,
            indexes=tuple(
                images.band_files[band].index for band in images.bands_of(file)
            ),
            channels=tuple(channels[band] for band in images.bands_of(file)),
            grid=main.grid,
            lattice=_fit(file, main, images.sensor),
            resampling=resampling,
        )
        for file in images.files
    ]


def open_bands(
    bands: Mapping[Band, BandFile],
    grid: RasterGrid,
    resampling: Mapping[Sensor, str],
    s2_offset: float,
    handles: Handles,
) -> Scene:
    """Open bands of files on a grid that need not be theirs, for training.

    Args:
        bands: The file of each band, in channel order.
        grid: The grid to read on; windows may lie outside it.
        resampling: How each sensor is brought to it from another one.
        s2_offset: What is added to the stored numbers of Sentinel-2.
        handles: Where rasters are kept open.

    Returns:
        The scene.
    """
    sensors = dict.fromkeys(band.sensor for band in bands)
    readers, codings = [], []
    for sensor in sensors:
        own = {band: file for band, file in bands.items() if band.sensor == sensor}
        start = sum(coding.channels.stop - coding.start for coding in codings)
        readers += read_files(own.values(), grid, resampling[sensor], start)
        codings.append(
            Coding(
                start=start,
                nodata=tuple(file.nodata for file in own.values()),
                offsets=(s2_offset if sensor == 's2' else 0.0,) * len(own),
            )
        )
    names = tuple(band.name for band in bands)
    path = next(iter(bands.values())).file.path
    return Scene(path, grid, names, (), tuple(readers), tuple(codings), handles)


def read_files(
    bands: Iterable[BandFile],
    grid: RasterGrid,
    resampling: str,
    start: int = 0,
    fill: float | None = 0,
) -> list[BandReader]:
    """Read bands of files on a grid that need not be theirs.

    Args:
        bands: The file of each band, in channel order.
        grid: The grid to read on.
        resampling: How they are brought to it from another one.
        start: Channel of the first band.
        fill: Number without data in bands that declare none, where they are warped.

    Returns:
        A reader of each file.
    """
    by_path: dict[str, list[tuple[int, BandFile]]] = {}
    for channel, band in enumerate(bands, start):
        by_path.setdefault(band.file.path, []).append((channel, band))
    is_nearest = resampling == 'nearest'
    return [
        BandReader(
            file=found[0][1].file,
            indexes=tuple(band.index for _, band in found),
            channels=tuple(channel for channel, _ in found),
            grid=grid,
            lattice=_align(found[0][1].file.grid, grid, is_nearest),
            resampling=resampling,
            tolerance=_EXACT if is_nearest else TOLERANCE,
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


def _fit(file: RasterHeader, main: RasterHeader, sensor: Sensor) -> Lattice | None:
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
    found = lattice(main.grid, file.grid)
    if sensor == 's2':
        return _multiple(found, file, main)
    if not _overlaps(file, main):
        raise RuntimeError(
            f'Expected images of one place, got {file.path}, {file.grid.describe()}, '
            f'that does not overlap {main.path}, {main.grid.describe()}; name images '
            'that belong together.'
        )
    return found if found and found.shift is not None else None


def _overlaps(file: RasterHeader, main: RasterHeader) -> bool:
    try:
        return overlaps(file.grid, main.grid)
    except GDAL_ERRORS as error:
        raise RuntimeError(
            f'Expected images on maps of the same Earth, got {file.path}, '
            f'{file.grid.describe()}, beside {main.path}, {main.grid.describe()} '
            f'({error}); warp one of them to the CRS of the other.'
        ) from error


def _multiple(found: Lattice | None, file: RasterHeader, main: RasterHeader) -> Lattice:
    fits = found is not None and covers(found, main.grid, file.grid)
    if found is None or not fits or (found.is_equal_size and found.shift is None):
        raise RuntimeError(
            f'Expected bands of Sentinel-2 on one grid, got {file.path}, '
            f'{file.grid.describe()}, beside {main.path}, {main.grid.describe()}; cut or '
            'warp them to the same extent and CRS first.'
        )
    return found

"""Opening a scene: its files, its bands and its grid."""

import math
from collections.abc import Callable, Sequence
from typing import get_args

from ...bands import Band, Sensor, select_bands
from .alignment import fit, require_georeference
from .headers import RasterFacts
from .layers import Layer
from .report import write_notes
from .scene import Scene
from .sensor_images import Images, find_bands
from .sources import Named
from .warping import ResamplingName


def open_scene(
    s2: Named | None = None,
    s1: Named | None = None,
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
    """
    _check(resampling, s2_offset)
    selected = select_bands(bands)
    finders: dict[Sensor, Callable[[tuple[Band, ...]], Images]] = {
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
    layers = [_layers(item, channels, main, resampling) for item in images]
    return Scene(
        name=images[0].source.name,
        grid=main.grid,
        bands=tuple(channels),
        notes=tuple(
            note
            for item, own in zip(images, layers, strict=True)
            for note in write_notes(item, own)
        ),
        layers=tuple(layer for own in layers for layer in own),
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


def _layers(
    images: Images,
    channels: dict[str, int],
    main: RasterFacts,
    resampling: ResamplingName,
) -> list[Layer]:
    return [
        Layer(
            file=file,
            indexes=tuple(images.places[band].index for band in images.bands_of(file)),
            channels=tuple(channels[band] for band in images.bands_of(file)),
            grid=main.grid,
            lattice=fit(file, main, images.sensor),
            resampling=resampling,
        )
        for file in images.files
    ]

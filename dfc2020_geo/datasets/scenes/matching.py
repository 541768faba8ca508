"""Matching of files: the images and labels that belong to each scene."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyproj
import shapely
from geopandas import GeoDataFrame, GeoSeries
from shapely import affinity
from torchgeo.datasets import DatasetNotFoundError, RasterDataset

from ...bands import Band, Sensor, select_bands
from ...classes import LegendName
from ...io.addresses import hide_secrets
from ...io.grid import count_from
from ...io.rasters import open_raster
from ...io.scenes.products import file_stem
from ..indexing.layout import name_some
from ..indexing.names import patch_name
from .joined import JoinedScenes
from .rasters import Paths
from .sentinel import LabelScenes

#: A class of torchgeo's kind, with its arguments but for paths, crs and res.
Open = partial[RasterDataset]

#: What images and labels are called in messages and in the names of files.
_KINDS: dict[str, tuple[str, ...]] = {
    's2': ('s2',),
    's1': ('s1',),
    'labels': ('labels', 'label', 'dfc', 'lc'),
}

#: CRS of the index of files, whatever their own.
_WGS84 = pyproj.CRS.from_epsg(4326)

#: Files of one kind overlap by less than this fraction, or are alternatives.
_MOST_OVERLAP = 0.5

#: Fraction of a scene below which a file cannot be the alternative of another.
_SLIVER = 0.01

#: Pieces that the edge of a file is cut into, since it is bent in another CRS.
_PIECES = 32


def open_scenes(
    images: Mapping[Sensor, tuple[type[RasterDataset], Paths]],
    labels: Paths,
    bands: Sequence[str | Band] | str,
    scheme: str,
    legend: LegendName,
    s2_offset: float | None = None,
) -> list[JoinedScenes]:
    """Make a dataset of each scene, in the CRS and on the pixels of its first image.

    A scene is a file of Sentinel-2, or of Sentinel-1 where no other bands are read.
    Files of the other kinds belong to it if they overlap it; of several that cover the
    same ground, the one of the same name.

    Args:
        images: Class and paths of each sensor's images.
        labels: Files of labels, or folders to search.
        bands: Bands to read, as names of bands or band sets.
        scheme: Name of the class scheme.
        legend: What the codes of the labels mean.
        s2_offset: What is added to the stored numbers of Sentinel-2; None for what is
            known of the product of each file.

    Returns:
        The scenes, sorted by file.

    Raises:
        FileNotFoundError: If a path does not exist, or there are no files of a kind.
        ValueError: If a sensor that is read is not in *images*, or a scene has no
            images or labels of a kind, or alternatives.
    """
    openers: dict[str, Open] = {}
    indexes: dict[str, GeoDataFrame] = {}
    names_of = {
        sensor: [band.name for band in own]
        for sensor, own in groupby(select_bands(bands), key=lambda band: band.sensor)
    }
    if missing := names_of.keys() - images.keys():
        raise ValueError(f'Expected images of {[*names_of]}, got none of {missing}.')
    for sensor, names in names_of.items():
        dataset, paths = images[sensor]
        openers[sensor] = partial(dataset, bands=names)
        indexes[sensor] = _index(sensor, openers[sensor], paths)
    openers['labels'] = partial(LabelScenes, scheme=scheme, legend=legend)
    indexes['labels'] = _index('labels', openers['labels'], labels)
    first = next(iter(openers))
    scenes = indexes.pop(first)
    return [
        _open_scene(first, path, box, openers, indexes, s2_offset)
        for path, box in zip(scenes.filepath, scenes.geometry, strict=True)
    ]


def _index(kind: str, opener: Open, paths: Paths) -> GeoDataFrame:
    """Index the files of a kind: their paths and footprints in WGS 84."""
    try:
        return opener(paths, crs=_WGS84).index
    except DatasetNotFoundError as error:
        named = [paths] if isinstance(paths, str | Path) else paths
        reader: Any = opener.func
        raise FileNotFoundError(
            f'Expected rasters of {kind} for {reader.__name__} in '
            f'{", ".join(map(str, named))}, got none; name files, folders that hold '
            'them, or another class.'
        ) from error


def _open_scene(
    first: str,
    path: str,
    box: Any,
    openers: dict[str, Open],
    indexes: dict[str, GeoDataFrame],
    s2_offset: float | None,
) -> JoinedScenes:
    scene: Any = openers[first]([path])
    kinds, footprint = [first], _footprint(path, scene.crs)
    for kind, index in indexes.items():
        candidates = index.filepath[_intersect(index, box)]
        overlaps = _overlaps(candidates, footprint, scene)
        if not overlaps:
            raise ValueError(
                f'Expected {kind} that overlap {" and ".join(kinds)} of '
                f'{hide_secrets(path)}, got none; '
                'add them, or leave this scene out.'
            )
        files = _choose(path, first, kind, overlaps)
        other = openers[kind](files, crs=scene.crs, res=scene.res)
        scene = JoinedScenes(scene, other, s2_offset)
        footprint = shapely.union_all([overlaps[file] for file in files])
        kinds = [*kinds, kind]
    return scene


def _intersect(index: GeoDataFrame, box: Any) -> Any:
    """Tell which files may lie where a box is, in whatever turn it is counted."""
    turns = [affinity.translate(box, turn) for turn in (-360, 0, 360)]
    return index.intersects(shapely.union_all(turns))


def _overlaps(
    files: Iterable[str], footprint: Any, scene: JoinedScenes
) -> dict[str, Any]:
    """Intersect the footprints of files with another, and keep more than a pixel."""
    middle = footprint.centroid.x
    found = {
        file: _footprint(file, scene.crs, middle) & footprint for file in sorted(files)
    }
    pixel = math.prod(scene.res)
    return {file: overlap for file, overlap in found.items() if overlap.area > pixel}


def _footprint(path: str, crs: pyproj.CRS, middle: float | None = None) -> Any:
    """Return the footprint of a file in a CRS; in degrees, counted from a longitude."""
    with open_raster(path) as raster:
        corners = [(0, 0), (raster.width, 0), raster.shape[::-1], (0, raster.height)]
        outline = shapely.Polygon([raster.transform @ corner for corner in corners])
        outline = outline.segmentize(outline.length / _PIECES)
        outline = GeoSeries([outline], crs=raster.crs).to_crs(crs).iloc[0]
    if not crs.is_geographic:
        return outline
    points = shapely.get_coordinates(outline)
    points[:, 0] = count_from(points[:, 0], points[0, 0])
    if middle is not None:
        own = points[:, 0].mean()
        points[:, 0] += count_from(own, middle) - own
    return shapely.set_coordinates(outline, points)


def _choose(path: str, first: str, kind: str, overlaps: Mapping[str, Any]) -> list[str]:
    """Choose the files of a kind that belong to a scene, by name or by coverage."""
    names = _names(path, first)
    if same := [file for file in overlaps if names & _names(file, kind)]:
        return same
    whole = shapely.union_all([*overlaps.values()]).area
    areas = [area for o in overlaps.values() if (area := o.area) > _SLIVER * whole]
    if sum(areas) - whole > _MOST_OVERLAP * min(areas, default=0):
        raise ValueError(
            f'Expected one file of {kind} for each part of {hide_secrets(path)}, '
            f'got {hide_secrets(name_some([*overlaps]))}; name the one that belongs to it alike, with '
            f'_{kind}_ in place of _{first}_, or leave the others out.'
        )
    return [*overlaps]


def _names(path: str, kind: str) -> set[str]:
    """Return what a file's name may be in Sentinel-2."""
    return {patch_name(file_stem(path), token) for token in _KINDS[kind]}

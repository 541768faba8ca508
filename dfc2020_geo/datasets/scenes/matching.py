"""Matching of files: the images and labels that belong to each scene."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyproj
import shapely
from geopandas import GeoDataFrame, GeoSeries
from torchgeo.datasets import DatasetNotFoundError, RasterDataset

from ...bands import Band, Sensor, select_bands
from ...classes import LegendName
from ...io.rasters import open_raster
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

#: Where every file can be found, whatever its CRS.
_WGS84 = pyproj.CRS.from_epsg(4326)

#: Files of one kind cover one another by less than this share, or are alternatives.
_MOST_OVERLAP = 0.5

#: Share of a scene below which a file cannot be the alternative of another.
_SLIVER = 0.01

#: Pieces that the edge of a file is cut into, since it is bent in another CRS.
_PIECES = 32


def open_scenes(
    images: Mapping[Sensor, tuple[type[RasterDataset], Paths]],
    labels: Paths,
    bands: Sequence[str | Band] | str,
    scheme: str,
    legend: LegendName,
    s2_offset: float = 0.0,
) -> list[JoinedScenes]:
    """Make a dataset of each scene, in the CRS and on the pixels of its first image.

    A scene is a file of Sentinel-2, or of Sentinel-1 where no other bands are read.
    Files of the other kinds belong to it if they lie there; of several that cover the
    same ground, the one of the same name.

    Args:
        images: Class and paths of each sensor's images.
        labels: Files of labels, or folders to search.
        bands: Bands to read, as names of bands or band sets.
        scheme: Name of the class scheme.
        legend: What the codes of the labels mean.
        s2_offset: What is added to the stored numbers of Sentinel-2.

    Returns:
        The scenes, sorted by file.

    Raises:
        FileNotFoundError: If a path does not exist, or there are no files of a kind.
        ValueError: If a sensor that is read is not in *images*, or a scene has no
            images or labels of a kind, or alternatives.
    """
    openers: dict[str, Open] = {}
    indexes: dict[str, GeoDataFrame] = {}
    names_of = _by_sensor(bands)
    if missing := names_of.keys() - images.keys():
        raise ValueError(f'Expected images of {[*names_of]}, got none of {missing}.')
    for sensor, names in names_of.items():
        dataset, paths = images[sensor]
        openers[sensor] = partial(dataset, bands=names)
        indexes[sensor] = _index(sensor, openers[sensor], paths)
    openers['labels'] = partial(LabelScenes, scheme=scheme, legend=legend)
    indexes['labels'] = _index('labels', openers['labels'], labels)
    first = next(iter(openers))
    places = indexes.pop(first)
    return [
        _open_scene(first, path, box, openers, indexes, s2_offset)
        for path, box in zip(places.filepath, places.geometry, strict=True)
    ]


def _index(kind: str, opener: Open, paths: Paths) -> GeoDataFrame:
    """Find where the files of a kind lie."""
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


def _by_sensor(bands: Sequence[str | Band] | str) -> dict[Sensor, list[str]]:
    names_of: dict[Sensor, list[str]] = {}
    for band in select_bands(bands):
        names_of.setdefault(band.sensor, []).append(band.name)
    return names_of


def _open_scene(
    first: str,
    path: str,
    box: Any,
    openers: dict[str, Open],
    indexes: dict[str, GeoDataFrame],
    s2_offset: float,
) -> JoinedScenes:
    scene: Any = openers[first]([path])
    kinds, place = [first], _outline(path, scene.crs)
    for kind, index in indexes.items():
        shares = _shares(index.filepath[index.intersects(box)], place, scene)
        if not shares:
            raise ValueError(
                f'Expected {kind} where {" and ".join(kinds)} of {path} lie, got none '
                'there; add them, or leave this scene out.'
            )
        files = _choose(path, first, kind, shares)
        other = openers[kind](files, crs=scene.crs, res=scene.res)
        scene = JoinedScenes(scene, other, s2_offset)
        kinds, place = [*kinds, kind], shapely.union_all([shares[f] for f in files])
    return scene


def _shares(files: Iterable[str], place: Any, scene: JoinedScenes) -> dict[str, Any]:
    """Find what files cover of a place, if it is more than a pixel."""
    shares = {file: _outline(file, scene.crs) & place for file in sorted(files)}
    least = math.prod(scene.res)
    return {file: share for file, share in shares.items() if share.area > least}


def _outline(path: str, crs: pyproj.CRS) -> Any:
    """Draw the outline of a file in a CRS."""
    with open_raster(path) as raster:
        corners = [(0, 0), (raster.width, 0), raster.shape[::-1], (0, raster.height)]
        outline = shapely.Polygon([raster.transform @ corner for corner in corners])
        outline = outline.segmentize(outline.length / _PIECES)
        return GeoSeries([outline], crs=raster.crs).to_crs(crs).iloc[0]


def _choose(path: str, first: str, kind: str, shares: Mapping[str, Any]) -> list[str]:
    """Choose the files of a kind that belong to a scene, by what they cover of it."""
    names = _names(path, first)
    if same := [file for file in shares if names & _names(file, kind)]:
        return same
    whole = shapely.union_all([*shares.values()]).area
    areas = [share.area for share in shares.values() if share.area > _SLIVER * whole]
    if sum(areas) - whole > _MOST_OVERLAP * min(areas, default=0):
        raise ValueError(
            f'Expected one file of {kind} for each place in {path}, got '
            f'{name_some([*shares])}; name the one that belongs to it alike, with '
            f'_{kind}_ in place of _{first}_, or leave the others out.'
        )
    return [*shares]


def _names(path: str, kind: str) -> set[str]:
    """Return what a file's name may be in Sentinel-2."""
    return {patch_name(Path(path).stem, token) for token in _KINDS[kind]}

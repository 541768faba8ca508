"""Scenes by their files: the images and labels that lie where an image lies."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyproj
from geopandas import GeoDataFrame
from torchgeo.datasets import RasterDataset
from torchgeo.datasets.utils import Sample

from ..bands import Sensor, select_bands
from ..classes import Source
from ..transforms import valid_pixels
from .index import name_some, patch_name
from .joined import JoinedScenes
from .scene_rasters import Paths
from .scenes import LabelScenes

#: A class of torchgeo's kind, with its arguments but for paths, crs and res.
Open = Callable[..., RasterDataset]

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


class AddOffset:
    """Add a number to the values of an image, but where there is no data."""

    def __init__(self, offset: float) -> None:
        """Initialize a new AddOffset instance.

        Args:
            offset: What is added.
        """
        self.offset = offset

    def __call__(self, sample: Sample) -> Sample:
        """Change the 'image' of a sample."""
        image = sample['image']
        moved = image + self.offset
        return sample | {'image': moved.where(valid_pixels(image[None])[0], image)}


def open_scenes(
    images: Mapping[Sensor, tuple[type[RasterDataset], Paths]],
    labels: Paths,
    bands: Sequence[str] | str,
    scheme: str,
    legend: Source,
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
        s2_offset: What is added to the values of Sentinel-2.

    Returns:
        The scenes, sorted by file.

    Raises:
        DatasetNotFoundError: If there are no files of a kind.
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
        moved = AddOffset(s2_offset) if sensor == 's2' and s2_offset else None
        openers[sensor] = partial(dataset, bands=names, transforms=moved)
        indexes[sensor] = openers[sensor](paths, crs=_WGS84).index
    openers['labels'] = partial(LabelScenes, scheme=scheme, legend=legend)
    indexes['labels'] = openers['labels'](labels, crs=_WGS84).index
    first = next(iter(openers))
    places = indexes.pop(first)
    return [
        _open_scene(first, path, place, openers, indexes)
        for path, place in zip(places.filepath, places.geometry, strict=True)
    ]


def _by_sensor(bands: Sequence[str] | str) -> dict[Sensor, list[str]]:
    names_of: dict[Sensor, list[str]] = {}
    for band in select_bands(bands):
        names_of.setdefault(band.sensor, []).append(band.name)
    return names_of


def _open_scene(
    first: str,
    path: str,
    place: Any,
    openers: dict[str, Open],
    indexes: dict[str, GeoDataFrame],
) -> JoinedScenes:
    scene: Any = openers[first]([path])
    crs, res = scene.crs, scene.res
    for kind, index in indexes.items():
        candidates = index[index.intersects(place)]
        files = _choose(path, first, kind, candidates.clip(place))
        try:
            other = openers[kind](files, crs=crs, res=res)
            scene = JoinedScenes(scene, other)
        except RuntimeError as error:
            if 'no spatial intersection' not in str(error):
                raise
            raise _nothing_there(path, kind) from error
    return scene


def _choose(path: str, first: str, kind: str, candidates: GeoDataFrame) -> list[str]:
    """Choose the files of a kind that belong to a scene."""
    if candidates.empty:
        raise _nothing_there(path, kind)
    files = sorted(candidates.filepath)
    names = _names(path, first)
    if same := [file for file in files if names & _names(file, kind)]:
        return same
    areas = [outline.area for outline in candidates.geometry]
    overlap = sum(areas) - candidates.geometry.union_all().area
    if overlap > _MOST_OVERLAP * min(areas):
        raise ValueError(
            f'Expected one file of {kind} for each place in {path}, got '
            f'{name_some(files)}; name the one that belongs to it alike, with _{kind}_ '
            f'in place of _{first}_, or leave the others out.'
        )
    return files


def _names(path: str, kind: str) -> set[str]:
    """Return what a file's name may be in Sentinel-2."""
    return {patch_name(Path(path).stem, token) for token in _KINDS[kind]}


def _nothing_there(path: str, kind: str) -> ValueError:
    return ValueError(
        f'Expected {kind} where {path} lies, got none there; add them, or leave this '
        'scene out.'
    )

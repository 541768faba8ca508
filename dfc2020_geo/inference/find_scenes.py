"""Scenes below a path, and pairing of Sentinel-1 with Sentinel-2 by name."""

import logging
import math
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from ..bands import Sensor
from ..datasets.indexing.names import group_names
from ..datasets.indexing.pairing import file_name, pair, require_twins
from ..io.addresses import hide_secrets
from ..io.band_names import split_file_name
from ..io.scenes.headers import read_header
from ..io.scenes.products import (
    ImagePaths,
    SceneImages,
    file_stem,
    find_folder,
    gdal_path,
    is_safe,
    list_files,
    list_folders,
    list_gsd_folders,
    open_product,
    scene_name,
)

logger = logging.getLogger(__name__)


class SceneSources(NamedTuple):
    """The images of one scene.

    Attributes:
        name: Name of the scene, no other's.
        s2: Images of Sentinel-2: a path, a list of files or an opened product; None if
            not asked for.
        s1: The same of Sentinel-1.
    """

    name: str
    s2: SceneImages | None
    s1: SceneImages | None


def find_scenes(
    s2: ImagePaths | None = None, s1: ImagePaths | None = None
) -> list[SceneSources]:
    """Find the scenes that a user means.

    Images of the two sensors belong together if they are one scene each, or by their
    names: the same, or ``_s1_`` in place of ``_s2_``. One file or product of
    Sentinel-1 serves all scenes of Sentinel-2.

    Args:
        s2: A file, a product, a virtual path of GDAL, a folder of those or of scenes
            with one file per band, or a list of any of them.
        s1: The same of Sentinel-1.

    Returns:
        Scenes, sorted by name.

    Raises:
        FileNotFoundError: If nothing is found, or a scene lacks its Sentinel-1.
        RuntimeError: If two scenes have the same name.
        ValueError: If neither sensor is given.
    """
    named: dict[Sensor, ImagePaths] = {}
    if s2 is not None:
        named['s2'] = s2
    if s1 is not None:
        named['s1'] = s1
    if not named:
        raise ValueError('Expected images of a scene, got none; give --s2 or --s1.')
    found = {sensor: _expand(value, sensor) for sensor, value in named.items()}
    if len(found) == 1:
        return _single(*found.popitem())
    if len(found['s1']) == 1 and (len(found['s2']) == 1 or _is_one(s1)):
        [partner] = found['s1'].values()
        return [SceneSources(n, source, partner) for n, source in found['s2'].items()]
    return _pair(found)


def _single(sensor: Sensor, found: dict[str, SceneImages]) -> list[SceneSources]:
    return [
        SceneSources(name, **({'s2': None, 's1': None} | {sensor: source}))
        for name, source in found.items()
    ]


def _pair(found: dict[Sensor, dict[str, SceneImages]]) -> list[SceneSources]:
    named = Path('what was named')
    runs = [
        run
        for sensor, sources in found.items()
        for run in group_names(sensor, '', sorted(f'{name}.tif' for name in sources))
    ]
    pairs, incomplete = pair(named, runs, ('s2', 's1'))
    without = [files for files in incomplete if 's2' in files]
    require_twins(named, without, ('s2', 's1'))
    if len(without) < len(incomplete):
        unused = [file_name(files['s1']) for files in incomplete if 's1' in files]
        logger.warning('Left out Sentinel-1 without Sentinel-2: %s', ', '.join(unused))
    scenes = []
    for files in pairs:
        name, partner = (
            file_stem(p.name) for p in (files.s2, files.s1) if p is not None
        )
        scenes.append(SceneSources(name, found['s2'][name], found['s1'][partner]))
    return scenes


def _is_one(named: ImagePaths | None) -> bool:
    """Tell whether this is one file or product, not a folder or several of them."""
    if not isinstance(named, str | Path):
        return named is not None and len(named) == 1 and _is_one(named[0])
    folder = find_folder(named)
    return folder is None or is_safe(folder)


def _expand(named: ImagePaths, sensor: Sensor) -> dict[str, SceneImages]:
    """Name each scene that is meant."""
    if isinstance(named, str | Path):
        pairs = _expand_path(named, sensor)
    else:
        folders = [path for path in named if find_folder(path)]
        files = [str(path) for path in named if path not in folders]
        pairs = [
            *_group(files, sensor),
            *(pair for path in folders for pair in _expand_path(path, sensor)),
        ]
    if not pairs:
        raise FileNotFoundError(
            f'Expected scenes in {hide_secrets(named)}, got no rasters there; name a raster, a '
            'product, or a folder of them.'
        )
    return _unique(sorted(pairs, key=lambda pair: pair[0]))


def _unique(pairs: list[tuple[str, SceneImages]]) -> dict[str, SceneImages]:
    scenes = {}
    for name, source in pairs:
        if name in scenes:
            raise RuntimeError(
                f'Expected one scene named {name}, got {hide_secrets(scenes[name])} '
                f'and {hide_secrets(source)}; '
                'rename one of them, or map them one at a time.'
            )
        scenes[name] = source
    return scenes


def _expand_path(path: Path | str, sensor: Sensor) -> list[tuple[str, SceneImages]]:
    folder = find_folder(path)
    if folder is None:
        return [(file_stem(str(path)), path)]
    if is_safe(folder):
        return _open([path], sensor)
    return _expand_folder(folder, sensor) or [
        pair for f in list_folders(folder) for pair in _expand_folder(f, sensor)
    ]


def _expand_folder(
    folder: Traversable, sensor: Sensor
) -> list[tuple[str, SceneImages]]:
    """Find the scenes in a folder, not in those within it."""
    if is_safe(folder) or list_gsd_folders(folder):
        return _open([gdal_path(folder)], sensor)
    products = [f for f in list_folders(folder) if is_safe(f)]
    packed = list_files(folder, ('.safe.zip',))
    paths = [gdal_path(product) for product in (*products, *packed)]
    scenes = _group([gdal_path(file) for file in list_files(folder)], sensor)
    return [*scenes, *_open(paths, sensor)]


def _open(paths: Sequence[Path | str], sensor: Sensor) -> list[tuple[str, SceneImages]]:
    """Open products, once: their files and metadata go on to the scene."""
    products = [open_product(path, sensor) for path in paths]
    return [(product.name, product) for product in products]


def _group(paths: Sequence[str], sensor: Sensor) -> list[tuple[str, SceneImages]]:
    """Bring the files together that hold one band each of one scene."""
    groups: dict[str, list[str]] = {}
    single: list[str] = []
    for path in paths:
        band, rest = split_file_name(file_stem(path), sensor)
        if band and read_header(path, math.inf).count == 1:
            groups.setdefault(rest, []).append(path)
        else:
            single.append(path)
    # Beside the bands of a scene lie its true colour image and its masks.
    beside = tuple(rest for rest, files in groups.items() if len(files) > 1)
    single = [p for p in single if not file_stem(p).startswith(beside)]
    scenes = [*groups.values(), *([path] for path in single)]
    return [
        (scene_name(files, sensor), files if len(files) > 1 else files[0])
        for files in scenes
    ]

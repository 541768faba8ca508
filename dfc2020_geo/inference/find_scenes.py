"""Scenes below a path, and pairing of Sentinel-1 with Sentinel-2 by name."""

import logging
import math
import re
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from ..bands import Sensor
from ..datasets.indexing.names import group_names
from ..datasets.indexing.pairing import file_name, pair, require_twins
from ..io.addresses import hide_secrets
from ..io.band_names import is_no_band, split_file_names
from ..io.scenes.containers import whole_stem
from ..io.scenes.headers import RasterHeader, read_header
from ..io.scenes.products import (
    ImagePaths,
    SceneImages,
    describe_content,
    file_stem,
    find_folder,
    gdal_path,
    images_folder,
    is_safe,
    last_part,
    list_files,
    list_folders,
    list_gsd_folders,
    open_product,
    scene_name,
    unnest,
)
from ..io.scenes.sensor_images import name_headers

logger = logging.getLogger(__name__)

#: Names of ESA's Sentinel-1 files end in a number of their own for each polarisation.
_ESA_NUMBER = re.compile(r'^(s1[a-d]-.+)-00\d$')

#: Numbers of bands of a picture: red, green and blue, perhaps with opacity.
_PICTURE_BANDS = (3, 4)


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
        folder = find_folder(named) if isinstance(named, str | Path) else None
        more = describe_content(folder) if folder else ''
        raise FileNotFoundError(
            f'Expected scenes in {hide_secrets(named)}, got no rasters there{more}; '
            'name a raster, a product, or a folder of them.'
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
    folder = images_folder(folder)
    if is_safe(folder) or list_gsd_folders(folder):
        return _open([gdal_path(folder)], sensor)
    products = [f for f in list_folders(folder) if is_safe(f)]
    files = [gdal_path(file) for file in list_files(folder)]
    scenes = _group(files, sensor, folder)
    scenes += _open([gdal_path(unnest(product)) for product in products], sensor)
    known = {name for name, _ in scenes}
    for archive in list_files(folder, ('.zip',)):
        # Where a product is extracted as well, that is read.
        if (
            re.sub(r'(\.safe)?\.zip$', '', archive.name, flags=re.IGNORECASE)
            not in known
        ):
            scenes += _expand_archive(gdal_path(archive), sensor)
    return scenes


def _expand_archive(path: str, sensor: Sensor) -> list[tuple[str, SceneImages]]:
    """Find the scenes in an archive; a damaged one is told of when it is opened."""
    try:
        return _expand_path(path, sensor)
    except RuntimeError:
        return [(file_stem(path), path)]


def _open(paths: Sequence[Path | str], sensor: Sensor) -> list[tuple[str, SceneImages]]:
    """Open products, once: their files and metadata go on to the scene.

    One that cannot be opened stays a path: the scene says why, the others go on.
    """
    found: list[tuple[str, SceneImages]] = []
    for path in paths:
        try:
            product = open_product(path, sensor)
            found.append((product.name, product))
        except (FileNotFoundError, RuntimeError):
            found.append((file_stem(str(path)), path))
    return found


def _group(
    paths: Sequence[str], sensor: Sensor, where: object = ''
) -> list[tuple[str, SceneImages]]:
    """Bring the files together that hold one band each of one scene.

    Beside bands and stacks lie true colour images, masks and other layers, which are
    left out and named: one of the sensor's bands, or several, make a scene.
    """
    headers = {path: _try_header(path) for path in paths}
    bands = [path for path, header in headers.items() if header and header.count == 1]
    named = split_file_names([whole_stem(file_stem(path)) for path in bands], sensor)
    groups: dict[str, list[str]] = {}
    left_out = []
    for path, (band, rest) in zip(bands, named, strict=True):
        scene = rest if band else _describe(headers[path], sensor)
        if scene is not None:
            scene = _ESA_NUMBER.sub(r'\1', scene)
            groups.setdefault(scene, []).append(path)
        else:
            left_out.append(path)
    stacks = [path for path in headers if path not in bands]
    pictures = [path for path in stacks if _is_picture(path, headers[path])]
    if left_out := sorted([*left_out, *pictures]):
        logger.warning(
            'Left out of %s, as they hold no bands of Sentinel-%s: %s',
            hide_secrets(where or 'what was named'),
            sensor[1],
            ', '.join(last_part(path) for path in left_out),
        )
    images: dict[str, list[str]] = {}
    for path in stacks:
        if path not in pictures:
            stem = file_stem(path)
            is_piece = whole_stem(stem) != stem
            images.setdefault(whole_stem(stem) if is_piece else path, []).append(path)
    scenes = [*groups.values(), *images.values()]
    return [
        (scene_name(files, sensor), files if len(files) > 1 else files[0])
        for files in scenes
    ]


def _try_header(path: str) -> RasterHeader | None:
    """Read a header; None if it cannot be read, which whoever maps the scene is told."""
    try:
        return read_header(path, math.inf)
    except RuntimeError:
        return None


def _describe(header: RasterHeader | None, sensor: Sensor) -> str | None:
    """Group a file without a band in its name by its description."""
    [(_, names)] = name_headers([header], sensor) if header else [('', [None])]
    return '' if names[0] else None


def _is_picture(path: str, header: RasterHeader | None) -> bool:
    """Tell whether a raster of several bands is none of reflectance or backscatter."""
    if is_no_band(file_stem(path)):
        return True
    if header is None or any(header.descriptions):
        return False
    return {*header.dtypes} == {'uint8'} and header.count in _PICTURE_BANDS

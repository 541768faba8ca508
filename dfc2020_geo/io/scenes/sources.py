"""From what a user names to the files of one scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from ...bands import Sensor
from ..band_names import split_file_name
from .paths import gdal_path, is_virtual, list_files, list_folders, locate
from .safe import (
    Product,
    find_band_files,
    find_images,
    gsd_folders,
    is_safe,
    read_product,
    stem,
)

#: A file, a folder or what else a user may name as the images of one sensor.
type Named = Path | str | Sequence[Path | str]


@dataclass(frozen=True)
class Source:
    """The images of one sensor of one scene.

    Attributes:
        name: Name of the scene.
        where: What the user named, for messages.
        paths: The files, as GDAL opens them.
        product: What the metadata of the product say, if it has some.
        is_product: Whether it lies in ESA's layout.
    """

    name: str
    where: str
    paths: tuple[str, ...]
    product: Product | None = None
    is_product: bool = False


def resolve(named: Named, sensor: Sensor) -> Source:
    """Find the files of one scene.

    Args:
        named: A file of several bands, a folder or a list of files, one per band, a
            product in ESA's layout, packed or not, or a virtual path of GDAL.
        sensor: The sensor whose images they are.

    Returns:
        The files.

    Raises:
        FileNotFoundError: If there is nothing of this name, or no raster in it.
        RuntimeError: If a product cannot be read.
    """
    if not isinstance(named, str | Path):
        return _from_list([str(path) for path in named], sensor)
    folder = find_folder(named)
    if folder is None:
        return _from_list([str(named)], sensor)
    if is_safe(folder):
        return _from_product(folder, sensor)
    files = find_images(folder) if has_gsd_folders(folder) else list_files(folder)
    if not files:
        raise FileNotFoundError(
            f'Expected rasters in {named}, got none; name the folder or the file that '
            'holds the images of one scene.'
        )
    paths = tuple(gdal_path(file) for file in files)
    return Source(scene_name(paths, sensor), str(named), paths)


def find_folder(named: Path | str) -> Traversable | None:
    """Find what a user names, if it is a folder or an archive.

    Args:
        named: What a user names.

    Returns:
        A folder, or the product in an archive; None for a file.

    Raises:
        FileNotFoundError: If there is nothing of this name.
    """
    folder = locate(named)
    if folder is None:
        if not is_virtual(named) and not Path(named).exists():
            raise FileNotFoundError(
                f'Expected a raster or a folder of rasters, got {named}, which does '
                'not exist.'
            )
        path = Path(named)
        is_metadata = path.suffix.lower() == '.xml' and is_safe(path.parent)
        return path.parent if is_metadata else None
    inner = list_folders(folder)
    packed = str(named).lower().endswith('.zip') and not list_files(folder)
    return inner[0] if packed and len(inner) == 1 else folder


def scene_name(paths: Sequence[str], sensor: Sensor) -> str:
    """Name a scene by its files.

    Args:
        paths: The files.
        sensor: The sensor whose images they are.

    Returns:
        The name of the only file; what the names of several have in common but for the
        band, or, if that is nothing, the name of their folder.
    """
    stems = [stem(last_part(path)) for path in paths]
    rests = {split_file_name(name, sensor)[1] for name in stems}
    if len(stems) == 1 or len(rests) > 1:
        return stems[0]
    return rests.pop() or last_part(paths[0].removesuffix(last_part(paths[0])))


def last_part(path: str) -> str:
    """Return the last part of a path or an address."""
    plain = path.partition('?')[0].replace('\\', '/').rstrip('/')
    return plain.rpartition('/')[2]


def _from_list(paths: list[str], sensor: Sensor) -> Source:
    if not paths:
        raise FileNotFoundError('Expected the files of a scene, got an empty list.')
    for path in paths:
        if find_folder(path):
            raise FileNotFoundError(
                f'Expected a list of the files of one scene, got the folder {path} in '
                'it; name the folder alone.'
            )
    return Source(scene_name(paths, sensor), ', '.join(paths), tuple(paths))


def _from_product(safe: Traversable, sensor: Sensor) -> Source:
    files = find_band_files(safe)
    if not files:
        raise FileNotFoundError(
            f'Expected band files in the product {safe}, got none; extract the whole '
            'product.'
        )
    return Source(
        name=stem(safe.name) if safe.name.upper().endswith('.SAFE') else safe.name,
        where=str(safe),
        paths=tuple(gdal_path(file) for file in files),
        product=read_product(safe) if sensor == 's2' else None,
        is_product=True,
    )


def has_gsd_folders(folder: Traversable) -> bool:
    """Tell whether a folder has R10m, R20m or R60m in it, as Level-2A does."""
    return any(gsd_folders(folder))

"""The files and metadata of one scene's images, found from what a user names.

That is a file, a folder or a list of files, a product of Sentinel-1 or -2 in ESA's
layout (``.SAFE``), packed in a zip archive or not, or a virtual path of GDAL.
"""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from ...bands import Sensor
from ..addresses import hide_secrets
from ..band_names import split_file_names
from ..rasters import SCENE_SUFFIXES
from .containers import list_parts, split_part, whole_stem
from .metadata import (
    ProductMetadata,
    find_metadata,
    metadata_file,
    read_metadata,
    read_name,
)

#: What a user may name as the images of one sensor.
type ImagePaths = Path | str | Sequence[Path | str]

#: The same, or what was found there.
type SceneImages = ImagePaths | Product

_ZIP = '/vsizip/'

#: Names of files that hold images in a form of their own, where a folder is searched.
_CONTAINERS = ('.dat', '.dim', '.nc')

#: Number of names that a message has of what is in a folder.
_MOST_NAMED = 5

#: Folders above a band's file in which its product may have metadata: R10m, IMG_DATA, the
#: granule, GRANULE and the product.
_MAX_ABOVE = 5

#: What GDAL calls a part of a product.
_PART = re.compile(r'SENTINEL2_L\w+:(.*\.\w+):.*', re.IGNORECASE)


@dataclass(frozen=True)
class Product:
    """The images of one sensor of one scene.

    Attributes:
        name: Name of the scene.
        where: What the user named, for messages.
        paths: The files, as GDAL opens them.
        metadata: What metadata or names of Sentinel-2 say, if they say something.
        is_safe: Whether it lies in ESA's layout.
    """

    name: str
    where: str
    paths: tuple[str, ...]
    metadata: ProductMetadata | None = None
    is_safe: bool = False

    def __str__(self) -> str:
        """Return what the user named."""
        return self.where


def open_product(named: SceneImages, sensor: Sensor) -> Product:
    """Find the files and metadata of one scene's images of one sensor.

    Args:
        named: What a user names, see above, or the product that was found there.
        sensor: The sensor whose images they are.

    Returns:
        The product; its rasters are not opened.

    Raises:
        FileNotFoundError: If there is nothing of this name, or no raster in it.
        RuntimeError: If a product cannot be read.
    """
    if isinstance(named, Product):
        return named
    if not isinstance(named, str | Path):
        return _from_list([str(path) for path in named], sensor)
    folder = find_folder(named)
    if folder is None:
        return _from_list([str(named)], sensor)
    if is_safe(folder):
        return _from_product(folder, sensor)
    files = _find_images(folder) if list_gsd_folders(folder) else list_files(folder)
    if not files:
        products = [inner for inner in list_folders(folder) if is_safe(inner)]
        if len(products) == 1:
            return _from_product(unnest(products[0]), sensor)
        raise FileNotFoundError(
            f'Expected rasters in {named}, got none{describe_content(folder)}; name the '
            'folder or the file that holds the images of one scene.'
        )
    paths = [gdal_path(file) for file in files]
    return replace(_from_list(paths, sensor), where=str(named))


def find_folder(named: Path | str) -> Traversable | None:
    """Find what a user names, if it is a folder or an archive.

    Args:
        named: What a user names.

    Returns:
        A folder, or the product in an archive; None for a file.

    Raises:
        FileNotFoundError: If there is nothing of this name.
    """
    folder = _locate(named)
    if folder is None:
        if not _is_virtual(named) and not Path(named).exists():
            raise FileNotFoundError(
                f'Expected a raster or a folder of rasters, got {named}, which does '
                'not exist.'
            )
        path = Path(named)
        is_metadata = path.suffix.lower() == '.xml' and is_safe(path.parent)
        return path.parent if is_metadata else None
    inner = list_folders(folder)
    packed = str(named).lower().endswith('.zip') and not list_files(folder)
    folder = unnest(inner[0] if packed and len(inner) == 1 else folder)
    return images_folder(folder)


def unnest(folder: Traversable) -> Traversable:
    """Find the product in a folder of its name, as some programs extract archives.

    Args:
        folder: A folder.

    Returns:
        The product; the folder itself if it is no product that holds another one.
    """
    if not folder.name.upper().endswith('.SAFE') or metadata_file(folder):
        return folder
    inner = list_folders(folder)
    is_nested = len(inner) == 1 and is_safe(inner[0])
    return unnest(inner[0]) if is_nested else folder


def describe_content(folder: Traversable) -> str:
    """Say what is in a folder where no raster was found, for messages.

    Args:
        folder: A folder.

    Returns:
        A few names after "but"; nothing for an empty folder.
    """
    names = [entry.name for entry in _entries(folder)]
    more = f' and {len(names) - _MOST_NAMED} more' if len(names) > _MOST_NAMED else ''
    return f' but {", ".join(names[:_MOST_NAMED])}{more}' if names else ''


def images_folder(folder: Traversable) -> Traversable:
    """Find the images of a granule.

    Args:
        folder: A granule of a product, or another folder.

    Returns:
        The folder ``IMG_DATA`` of a granule, beside its masks and quicklooks; another
        folder itself.
    """
    images = folder / 'IMG_DATA'
    return images if images.is_dir() else folder


def scene_name(paths: Sequence[str], sensor: Sensor) -> str:
    """Name a scene by its files.

    Args:
        paths: The files.
        sensor: The sensor whose images they are.

    Returns:
        The name of the only file; what the names of several have in common but for the
        band, or, if that is nothing, the name of their folder.
    """
    stems = [file_stem(path) for path in paths]
    stems = [whole_stem(stem) for stem in stems] if len(stems) > 1 else stems
    rests = {rest for _, rest in split_file_names(stems, sensor)}
    if len(stems) == 1 or len(rests) > 1:
        return stems[0]
    return rests.pop() or last_part(paths[0].removesuffix(last_part(paths[0])))


def last_part(path: str) -> str:
    """Return the last part of a path or an address.

    Args:
        path: A path, or a URL with or without a query.

    Returns:
        Its last part.
    """
    file, variable = split_part(path)
    if variable:
        return f'{file_stem(file)}_{variable}'
    plain = hide_secrets(path).replace('\\', '/').rstrip('/')
    return plain.rpartition('/')[2]


def file_stem(path: str) -> str:
    """Return the last part of a path or an address, without its extension.

    Args:
        path: A path or a URL.

    Returns:
        Its last part, without the extension.
    """
    return PurePosixPath(last_part(path)).stem


def _from_list(paths: list[str], sensor: Sensor) -> Product:
    if not paths:
        raise FileNotFoundError('Expected the files of a scene, got an empty list.')
    for path in paths:
        if find_folder(path):
            raise FileNotFoundError(
                f'Expected a list of the files of one scene, got the folder {path} in '
                'it; name the folder alone.'
            )
    named, paths = paths, [part for path in paths for part in list_parts(path)]
    metadata = describe_product(named) if sensor == 's2' else None
    where = ', '.join(map(hide_secrets, named))
    return Product(scene_name(paths, sensor), where, tuple(paths), metadata)


def describe_product(paths: Sequence[str]) -> ProductMetadata | None:
    """Find out what is known of the product of Sentinel-2 that files belong to.

    Args:
        paths: The files, as GDAL opens them.

    Returns:
        What the metadata say that lie above them, or else their names; None if those say
        nothing.

    Raises:
        RuntimeError: If metadata cannot be read, or files are of products that differ in
            their offset.
    """
    paths = [_full_path(path) for path in paths]
    folders = {path.rpartition('/')[0]: path for path in paths}
    files = {path: find_metadata(_folders_above(path)) for path in folders.values()}
    distinct = {str(file): file for file in files.values() if file}
    read = {name: read_metadata(file) for name, file in distinct.items()}
    known = {path: read.get(str(f)) or read_name(path) for path, f in files.items()}
    (first, product), *others = known.items()
    for path, other in others:
        if _radiometry(product) != _radiometry(other):
            raise RuntimeError(
                f'Expected the files of one product, got '
                f'{hide_secrets(first)} and {hide_secrets(path)} of another '
                'offset or quantification; name files that belong together, or give '
                '--s2_offset.'
            )
    return product


def _full_path(path: str) -> str:
    """Return where a file or a part of a product lies, with the folders above it."""
    part = _PART.fullmatch(path)
    path = part[1] if part else path
    return path if _is_virtual(path) else Path(path).absolute().as_posix()


def _radiometry(metadata: ProductMetadata | None) -> object:
    return (dict(metadata.offsets), metadata.factor) if metadata else ({}, 1.0)


def _folders_above(path: str) -> Iterator[Traversable]:
    """Yield the folders that a file lies in, as far as a product reaches."""
    if path.startswith(_ZIP):
        archive, dot, inner = path.removeprefix(_ZIP).partition('.zip')
        parts = inner.strip('/').split('/')[:-1]
        for count in range(len(parts), -1, -1):
            inside = _in_archive(Path(archive + dot), '/'.join(parts[:count]))
            if inside is not None:
                yield inside
    elif not _is_virtual(path):
        yield from list(Path(path).parents)[:_MAX_ABOVE]


def _from_product(safe: Traversable, sensor: Sensor) -> Product:
    files = _find_band_files(safe)
    if not files:
        raise FileNotFoundError(
            f'Expected band files in the product {safe}, got none; extract the whole '
            'product.'
        )
    paths = tuple(gdal_path(file) for file in files)
    return Product(
        name=file_stem(safe.name) if safe.name.upper().endswith('.SAFE') else safe.name,
        where=str(safe),
        paths=paths,
        metadata=describe_product(paths) if sensor == 's2' else None,
        is_safe=True,
    )


def is_safe(folder: Traversable) -> bool:
    """Tell whether a folder is a product in ESA's layout.

    Args:
        folder: Folder to look at.

    Returns:
        True for names that end in ``.SAFE``, and for folders with the metadata file
        of a product.
    """
    return folder.name.upper().endswith('.SAFE') or metadata_file(folder) is not None


def _find_band_files(safe: Traversable) -> list[Traversable]:
    """Find the rasters of a product that hold one band.

    Args:
        safe: Folder of the product, of Sentinel-2 or Sentinel-1.

    Returns:
        Files in all the resolutions that there are, sorted by folder and name.

    Raises:
        RuntimeError: If a Sentinel-2 product has more than one granule, or none.
    """
    measurement = safe / 'measurement'
    if measurement.is_dir():
        return list_files(measurement)
    granules = list_folders(safe / 'GRANULE')
    if len(granules) != 1:
        names = ', '.join(granule.name for granule in granules) or 'none'
        raise RuntimeError(
            f'Expected one granule in {safe / "GRANULE"}, got {names}; name the folder '
            'IMG_DATA of one of them, and give --s2_offset.'
        )
    return _find_images(granules[0] / 'IMG_DATA')


def _find_images(folder: Traversable) -> list[Traversable]:
    """Find the band files of Sentinel-2 in a folder, and in R10m, R20m and R60m in it.

    Args:
        folder: The folder ``IMG_DATA`` of a granule, or one like it.
    """
    folders = (folder, *list_gsd_folders(folder))
    files = [file for each in folders for file in list_files(each)]
    named = split_file_names([file_stem(file.name) for file in files], 's2')
    return [file for file, (band, _) in zip(files, named, strict=True) if band]


def list_gsd_folders(folder: Traversable) -> list[Traversable]:
    """List the folders R10m, R20m and R60m in which Level-2A has its images.

    Args:
        folder: Folder to look in.

    Returns:
        Those that there are.
    """
    return [
        f
        for f in list_folders(folder)
        if re.fullmatch(r'R[126]0m', f.name, re.IGNORECASE)
    ]


def _locate(path: Path | str) -> Traversable | None:
    """Find a folder, or a folder in a zip archive.

    Args:
        path: What a user names; ``/vsizip/PRODUCT.zip/PRODUCT.SAFE`` as well.

    Returns:
        The folder; None if this is no folder but, perhaps, a raster.

    Raises:
        RuntimeError: If an archive is damaged.
    """
    name = str(path)
    if name.startswith(_ZIP):
        archive, dot, inner = name.removeprefix(_ZIP).partition('.zip')
        return _in_archive(Path(archive + dot), inner.strip('/')) if dot else None
    if name.lower().endswith('.zip') and Path(name).is_file():
        return _in_archive(Path(name), '')
    return Path(name) if Path(name).is_dir() else None


def _in_archive(archive: Path, inner: str) -> Traversable | None:
    if not archive.is_file():
        return None
    try:
        root = zipfile.Path(archive, f'{inner}/' if inner else '')
    except (zipfile.BadZipFile, OSError) as error:
        raise RuntimeError(
            f'Expected a zip archive, got a damaged one: {archive} ({error}); fetch it '
            'again.'
        ) from error
    return root if root.is_dir() and (not inner or root.exists()) else None


def gdal_path(path: Traversable) -> str:
    """Return what GDAL calls a file or a folder.

    Args:
        path: A file or folder, on disk or in a ``.zip``.

    Returns:
        Its path for GDAL, with ``/vsizip/`` in an archive.
    """
    return f'{_ZIP}{path}' if isinstance(path, zipfile.Path) else str(path)


def _is_virtual(path: Path | str) -> bool:
    """Tell whether only GDAL can say if something is there.

    These are its virtual file systems, addresses, and parts of files such as
    ``SENTINEL2_L1C:PATH:10m:EPSG_32632``.
    """
    name = str(path)
    driver, colon, _ = name.partition(':')
    # One letter is a drive of Windows.
    return name.startswith('/vsi') or (bool(colon) and len(driver) > 1)


def list_files(
    folder: Traversable, suffixes: tuple[str, ...] = (*SCENE_SUFFIXES, *_CONTAINERS)
) -> list[Traversable]:
    """List the files of a folder by name, without hidden ones.

    Args:
        folder: Folder to list.
        suffixes: What their names end in.

    Returns:
        The files, sorted by name.
    """
    entries = _entries(folder)
    names = {entry.name for entry in entries}
    return [
        entry
        for entry in entries
        if entry.name.lower().endswith(suffixes)
        and entry.is_file()
        and (not entry.name.lower().endswith('.dat') or _is_envi(entry.name, names))
    ]


def _is_envi(name: str, names: set[str]) -> bool:
    """Tell whether a ``.dat`` is a raster: its header lies beside it."""
    return not names.isdisjoint((f'{name}.hdr', f'{name[:-4]}.hdr'))


def list_folders(folder: Traversable) -> list[Traversable]:
    """List the folders of a folder by name, without hidden ones.

    Args:
        folder: Folder to list.

    Returns:
        The folders, sorted by name.
    """
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Traversable) -> list[Traversable]:
    """List a folder without what is hidden; macOS leaves ._NAME beside NAME."""
    if not folder.is_dir():
        return []
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return [e for e in entries if not e.name.startswith(('.', '__MACOSX'))]

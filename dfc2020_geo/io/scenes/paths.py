"""Folders and zip archives that rasters are found in, and what GDAL calls them."""

import zipfile
from importlib.resources.abc import Traversable
from pathlib import Path

from ..rasters import SCENE_SUFFIXES

_ZIP = '/vsizip/'


def locate(path: Path | str) -> Traversable | None:
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


def gdal_path(place: Traversable) -> str:
    """Return what GDAL calls a file or a folder."""
    return f'{_ZIP}{place}' if isinstance(place, zipfile.Path) else str(place)


def is_virtual(path: Path | str) -> bool:
    """Tell whether only GDAL can say if something is there.

    These are its virtual file systems, addresses, and parts of files such as
    ``SENTINEL2_L1C:PATH:10m:EPSG_32632``.
    """
    name = str(path)
    driver, colon, _ = name.partition(':')
    # One letter is a drive of Windows.
    return name.startswith('/vsi') or (bool(colon) and len(driver) > 1)


def list_files(
    folder: Traversable, suffixes: tuple[str, ...] = SCENE_SUFFIXES
) -> list[Traversable]:
    """List the files of a folder by name, without hidden ones.

    Args:
        folder: Folder to list.
        suffixes: What their names end in.
    """
    return [
        entry
        for entry in _entries(folder)
        if entry.name.lower().endswith(suffixes) and entry.is_file()
    ]


def list_folders(folder: Traversable) -> list[Traversable]:
    """List the folders of a folder by name, without hidden ones."""
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Traversable) -> list[Traversable]:
    """List a folder without what is hidden; macOS leaves ._NAME beside NAME."""
    if not folder.is_dir():
        return []
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return [e for e in entries if not e.name.startswith(('.', '__MACOSX'))]

"""Finding the rasters of a packaging below its root: paths only, each folder once."""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

#: What is in a file: ``'s1'``, ``'s2'``, or labels, ``'lc'`` or ``'dfc'``.
type Kind = str

_EXTENSIONS = ('.tif', '.tiff')
_ARCHIVES = ('.zip', '.tar', '.gz', '.tgz')

#: Folders are entered down to this depth, so that a circle of links ends.
_MAX_DEPTH = 5


class Raster(NamedTuple):
    """One file of a patch.

    Attributes:
        kind: What is in the file.
        patch: What the files of a patch have in common: its Sentinel-2 file's stem.
        path: The file, with ``/``; a string, as there are half a million of them.
        scene: Season or phase and scene, for example ``'ROIs1158_spring/1'``.
    """

    kind: Kind
    patch: str
    path: str
    scene: str = ''

    @property
    def name(self) -> str:
        """Name of the file, without its folder."""
        return self.path.rpartition('/')[2]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files of a packaging lie below its root.

    Attributes:
        folders: The names of its folders.
        rasters: The paths of its rasters, relative to the root and with ``/``; its
            groups ``stem``, ``kind``, ``season`` and ``scene`` say what a raster is.
        expected: Those folders in words, for messages.
    """

    folders: re.Pattern[str]
    rasters: re.Pattern[str]
    expected: str


def rename(name: str, old: str, new: str) -> str:
    """Name the sibling of a file: another kind of raster of the same patch.

    Args:
        name: Name or stem of a file, without its folder.
        old: Kind of that file, for example ``'s2'``.
        new: Kind of its sibling.

    Returns:
        *name* with ``_new_`` in place of ``_old_``; *name* itself without ``_old_``.
    """
    return name.replace(f'_{old}_', f'_{new}_')


def patch_name(stem: str, kind: Kind) -> str:
    """Name the patch that a file belongs to.

    Args:
        stem: Name of the file, without its extension.
        kind: What is in the file.

    Returns:
        Stem of the patch's Sentinel-2 file.
    """
    return rename(rename(stem, kind, 's2'), 's1', 's2')


def scan(folder: Path) -> tuple[list[str], list[str]]:
    """List the folders and the GeoTIFFs in a folder, without hidden ones.

    Args:
        folder: Folder to list.

    Returns:
        Sorted names of its folders, and sorted names of its GeoTIFFs.
    """
    folders, rasters = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            # macOS leaves ._NAME beside NAME, and in zips a folder of those.
            if entry.name.startswith('.') or entry.name == '__MACOSX':
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.name.lower().endswith(_EXTENSIONS):
                rasters.append(entry.name)
    return sorted(folders), sorted(rasters)


def find_rasters(root: Path, layout: Layout) -> list[Raster]:
    """Find the rasters of a packaging in its root, or one level deeper.

    Args:
        root: Folder to look in; it may be missing.
        layout: What to look for.

    Returns:
        Rasters of the layout's folders in *root*; if there are none, those in the
        other folders of *root*.
    """
    if not root.is_dir():
        return []
    folders, names = scan(root)
    own = [name for name in folders if layout.folders.fullmatch(name)]
    # Disks have folders that only their administrator may list, such as lost+found.
    readable = [name for name in folders if os.access(root / name, os.R_OK | os.X_OK)]
    other = [name for name in readable if name not in own]
    return _match(root, names, own, layout) or _match(root, [], other, layout)


def _match(
    root: Path, names: list[str], folders: list[str], layout: Layout
) -> list[Raster]:
    paths = [*names, *(path for name in folders for path in _walk(root, name, layout))]
    return [
        Raster(
            match['kind'],
            patch_name(match['stem'], match['kind']),
            f'{root.as_posix()}/{path}',
            f'{match["season"]}/{match["scene"]}',
        )
        for path in paths
        if (match := layout.rasters.fullmatch(path))
    ]


def _walk(root: Path, folder: str, layout: Layout) -> Iterator[str]:
    """Yield the relative paths of the GeoTIFFs in and below a folder."""
    folders, rasters = scan(root / folder)
    yield from (f'{folder}/{name}' for name in rasters)
    if folder.count('/') < _MAX_DEPTH:
        for name in folders:
            if layout.folders.fullmatch(name):
                yield from _walk(root, f'{folder}/{name}', layout)


def name_some(names: Collection[str]) -> str:
    """Name the first three, and say how many more there are."""
    more = len(names) - 3
    return ', '.join(list(names)[:3]) + (f' and {more} more' if more > 0 else '')


def not_found(root: Path, expected: str, hint: str = '') -> FileNotFoundError:
    """Describe what a root lacks.

    Args:
        root: Folder that was looked in.
        expected: What was looked for.
        hint: What to do, if more can be said than to give another root.

    Returns:
        An error to raise, whose message also says what is in *root*.
    """
    if not root.is_dir():
        found = 'a file' if root.exists() else 'no such folder'
    else:
        names = sorted(os.listdir(root))
        found = f'only {name_some(names)}' if names else 'an empty folder'
        if any(name.lower().endswith(_ARCHIVES) for name in names):
            hint = hint or 'Extract the archives there.'
    hint = hint or 'Set root to the folder that holds them.'
    return FileNotFoundError(f'Expected {expected} in {root}, got {found}. {hint}')

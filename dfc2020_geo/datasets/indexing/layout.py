"""Finding the rasters of a packaging below its root: names only, each folder once."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from .names import FileNames, match_names
from .trees import Tree

_ARCHIVES = ('.zip', '.tar', '.gz', '.tgz')

#: Folders are entered down to this depth, so that a circle of links ends.
_MAX_DEPTH = 5


@dataclass(frozen=True, slots=True)
class FolderLayout:
    """How the files of a packaging lie below its root.

    Attributes:
        folders: The names of its folders.
        rasters: The paths of its rasters, relative to the root and with ``/``; its
            groups ``stem``, ``kind``, ``season`` and ``scene`` say what a raster is.
            A stem ends in ``_p`` and a number.
        expected: Those folders in words, for messages.
        places: The paths of the folders that hold rasters and no folders, if that can
            be told without reading them; its groups say the same.
    """

    folders: re.Pattern[str]
    rasters: re.Pattern[str]
    expected: str
    places: re.Pattern[str] | None = None


class RasterFolder:
    """A folder of a packaging that may hold rasters.

    Attributes:
        path: The folder, from the root and with ``/``.
        kind: What is in its files, empty if they are not all of a kind.
        scene: Season and scene, empty if not known.
    """

    def __init__(
        self,
        tree: Tree,
        layout: FolderLayout,
        path: str,
        names: list[str] | None = None,
    ) -> None:
        """Initialize a new RasterFolder instance.

        Args:
            tree: Where to look.
            layout: What to look for.
            path: The folder.
            names: Names of its GeoTIFFs, if it was read already.
        """
        self.path = path
        self._tree, self._layout, self._names = tree, layout, names
        match = layout.places and layout.places.fullmatch(path)
        self.kind = match['kind'] if match else ''
        self.scene = f'{match["season"]}/{match["scene"]}' if match else ''

    @cached_property
    def file_names(self) -> list[FileNames]:
        """Its rasters; the folder is read now, if it was not before."""
        names = self._names
        if names is None:
            names = self._tree.scan(self.path)[1]
        return match_names(self._layout.rasters, self.path, names)


def find_raster_folders(tree: Tree, layout: FolderLayout) -> list[RasterFolder]:
    """Find the folders of a packaging in its root, or one level deeper.

    Args:
        tree: Where to look.
        layout: What to look for.

    Returns:
        Folders of the layout in the root, and the root; if there are no rasters in
        them, those in the other folders of the root.
    """
    folders, names = tree.scan('')
    own = [name for name in folders if layout.folders.fullmatch(name)]
    places = [RasterFolder(tree, layout, '', names), *_walk_all(tree, own, layout)]
    if any(place.file_names for place in places):
        return places
    other = [name for name in folders if name not in own and _is_readable(tree, name)]
    return list(_walk_all(tree, other, layout))


def _is_readable(tree: Tree, folder: str) -> bool:
    try:
        tree.scan(folder)
    except PermissionError:
        return False
    return True


def _walk_all(
    tree: Tree, folders: Iterable[str], layout: FolderLayout
) -> Iterator[RasterFolder]:
    for folder in folders:
        yield from _walk(tree, folder, layout)


def _walk(tree: Tree, folder: str, layout: FolderLayout) -> Iterator[RasterFolder]:
    """Yield a folder and those below it that belong to the layout."""
    if layout.places and layout.places.fullmatch(folder):
        yield RasterFolder(tree, layout, folder)
        return
    folders, names = tree.scan(folder)
    yield RasterFolder(tree, layout, folder, names)
    if folder.count('/') < _MAX_DEPTH:
        inner = (name for name in folders if layout.folders.fullmatch(name))
        yield from _walk_all(tree, (f'{folder}/{name}' for name in inner), layout)


def name_some(names: Collection[Any]) -> str:
    """Name the first three, and say how many more there are.

    Args:
        names: What to name.

    Returns:
        Text such as ``'a, b, c and 4 more'``.
    """
    more = len(names) - 3
    first = ', '.join(map(str, islice(names, 3)))
    return first + (f' and {more} more' if more > 0 else '')


def not_found(
    tree: Tree, expected: str, hint: str = '', folder: str = ''
) -> FileNotFoundError:
    """Describe what a folder lacks.

    Args:
        tree: Where was looked.
        expected: What was looked for.
        hint: What to do, if more can be said than to give another root.
        folder: The folder that was looked in, from the root and with ``/``.

    Returns:
        An error to raise, whose message also says what is in the folder.
    """
    try:
        names = tree.names(folder)
        found = f'only {name_some(names)}' if names else 'an empty folder'
        if any(name.lower().endswith(_ARCHIVES) for name in names):
            hint = hint or 'Extract the archives there.'
    except FileNotFoundError:
        found = 'no such folder'
    except NotADirectoryError:
        found = 'a file'
    hint = hint or 'Set root to the folder that holds them.'
    home = tree.root / folder
    return FileNotFoundError(f'Expected {expected} in {home}, got {found}. {hint}')

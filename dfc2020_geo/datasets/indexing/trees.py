"""Directory trees of GeoTIFFs, as the search for patches sees them."""

import errno
import os
from abc import ABC, abstractmethod
from pathlib import Path

_EXTENSIONS = ('.tif', '.tiff')


class Tree(ABC):
    """Folders and GeoTIFFs below a root.

    Attributes:
        root: Folder of the data, as the user names it.
        skipped: Rasters that are left out, from the root and with ``/``.
    """

    root: Path
    skipped: frozenset[str] = frozenset()

    @abstractmethod
    def scan(self, folder: str) -> tuple[list[str], list[str]]:
        """List the folders and the GeoTIFFs in a folder, without hidden ones.

        Args:
            folder: Its path from the root, with ``/``; ``''`` is the root itself, which
                may be missing.

        Returns:
            Sorted names of its folders, and sorted names of its GeoTIFFs.

        Raises:
            PermissionError: If the folder may not be listed.
        """

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """List all that is in a folder, for messages.

        Args:
            folder: Its path from the root, with ``/``; ``''`` is the root itself.

        Returns:
            Sorted names of folders and files of all kinds.

        Raises:
            OSError: If there is no such folder, or it may not be listed.
        """

    def is_file(self, path: Path) -> bool:
        """Tell whether there is a file that is no raster, such as the list of a split.

        Args:
            path: The file, below the root.

        Returns:
            True if there is.

        Raises:
            RuntimeError: If it is known to be damaged.
        """
        return path.is_file()


class FolderTree(Tree):
    """The folders and files of a disk."""

    def __init__(self, root: Path) -> None:
        """Initialize a new FolderTree instance.

        Args:
            root: Folder of the data; it may be missing.
        """
        self.root = root

    def scan(self, folder: str) -> tuple[list[str], list[str]]:
        """List the folders and the GeoTIFFs in a folder, without hidden ones.

        Args:
            folder: Its path from the root, with ``/``; ``''`` is the root itself.

        Returns:
            Sorted names of its folders, and sorted names of its GeoTIFFs.

        Raises:
            PermissionError: If the folder may not be listed, or not be entered.
        """
        path = os.path.join(self.root, folder)
        if not folder and not os.path.isdir(path):
            return [], []
        # Disks have folders that only their administrator may list, such as lost+found.
        if not os.access(path, os.R_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        rasters = _list_rasters(path)
        return _scan(path) if rasters is None else ([], rasters)

    def names(self, folder: str) -> list[str]:
        """List all that is in a folder, for messages.

        Args:
            folder: Path of the folder, from the root and with ``/``.

        Returns:
            Names of folders and files.
        """
        return sorted(os.listdir(os.path.join(self.root, folder)))


class ReducedTree(Tree):
    """A tree without some of its rasters."""

    def __init__(self, tree: Tree, skip_list: Path | str) -> None:
        """Initialize a new ReducedTree instance.

        Args:
            tree: The tree.
            skip_list: Text file with the rasters to leave out, one in each line, from
                the root and with ``/``, as ``dfc2020-geo check --skip_list`` writes it.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        try:
            text = Path(skip_list).expanduser().read_text('utf-8', 'surrogateescape')
        except FileNotFoundError:
            raise FileNotFoundError(
                f'Expected a list of files to skip, got no file at {skip_list}; '
                'dfc2020-geo check --skip_list FILE writes one.'
            ) from None
        self.root = tree.root
        self._tree, self.skipped = tree, frozenset(text.splitlines())

    def scan(self, folder: str) -> tuple[list[str], list[str]]:
        """List the folders and the rasters in a folder that are not left out.

        Args:
            folder: Its path from the root, with ``/``; ``''`` is the root itself.

        Returns:
            Sorted names of its folders, and sorted names of its rasters.
        """
        folders, rasters = self._tree.scan(folder)
        home = f'{folder}/' if folder else ''
        return folders, [x for x in rasters if f'{home}{x}' not in self.skipped]

    def names(self, folder: str) -> list[str]:
        """List all that is in a folder, for messages.

        Args:
            folder: Path of the folder, from the root and with ``/``.

        Returns:
            Names of folders and files.
        """
        return self._tree.names(folder)

    def is_file(self, path: Path) -> bool:
        """Tell whether there is a file that is no raster.

        Args:
            path: The file, below the root.

        Returns:
            True if there is.
        """
        return self._tree.is_file(path)


def _list_rasters(path: str) -> list[str] | None:
    """List a folder that holds nothing but plain GeoTIFFs; None if it may hold more.

    Most folders do, and asking what each of half a million entries is costs as much
    as listing them. Two links to a folder, its name and its own dot, say that it has
    no folders within; where file systems do not count links, the number differs.
    """
    if os.stat(path).st_nlink != 2:
        return None
    names = os.listdir(path)
    text = '/' + '/'.join(names) + '/'
    if text.count('.tif/') < len(names) or '/.' in text:
        return None
    names.sort()
    return names


def _scan(path: str) -> tuple[list[str], list[str]]:
    folders, rasters = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            # macOS leaves ._NAME beside NAME, and in zips a folder of those.
            if entry.name.startswith('.') or entry.name == '__MACOSX':
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.name.lower().endswith(_EXTENSIONS):
                rasters.append(entry.name)
    return sorted(folders), sorted(rasters)

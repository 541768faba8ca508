"""The tree of a pack: datasets find patches in it as on a disk."""

from pathlib import Path, PurePosixPath

from ...io.packs import Pack
from .trees import Tree


class PackTree(Tree):
    """The folders and rasters that the source of a pack had.

    Lists of splits are files in its root, as they were in the source.
    """

    def __init__(self, pack: Pack) -> None:
        """Initialize a new PackTree instance.

        Args:
            pack: The pack.
        """
        self.root = pack.root
        self._pack = pack
        self._folders: dict[str, set[str]] = {}
        for folder in pack.manifest.folders:
            while folder:
                parent, _, name = folder.rpartition('/')
                self._folders.setdefault(parent, set()).add(name)
                folder = parent

    def names(self, folder: str) -> list[str]:
        """List what the source had in a folder and the pack has, for messages.

        Args:
            folder: Path of the folder, from the root and with ``/``.

        Returns:
            Names of folders and files.
        """
        folders, rasters = self.scan(folder)
        lists = map(PurePosixPath, self._pack.manifest.lists)
        home = PurePosixPath(folder)
        return sorted(
            {*folders, *rasters, *(p.name for p in lists if p.parent == home)}
        )

    def is_file(self, path: Path) -> bool:
        """Tell whether there is a file that is no raster, as it was packed.

        Args:
            path: The file, below the root.

        Returns:
            True if there is.
        """
        return self._pack.has_list(path)

    def scan(self, folder: str) -> tuple[list[str], list[str]]:
        """List the folders and the rasters in a folder.

        Args:
            folder: Its path from the root, with ``/``; ``''`` is the root itself.

        Returns:
            Sorted names of its folders, and sorted names of its rasters.

        Raises:
            RuntimeError: If the pack is damaged.
        """
        return sorted(self._folders.get(folder, ())), sorted(self._pack.names(folder))

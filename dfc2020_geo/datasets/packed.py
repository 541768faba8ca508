"""The tree of a pack: datasets find patches in it as on a disk."""

from ..packs import Pack
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

"""How the files of a patch are read: from a disk, or from a pack."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ..packs import Pack
from ..rasters import read_stored, require_real
from ..tiffs import Pixels
from .table import PatchTable

#: The attributes of files that are read.
type Kind = Literal['s2', 's1', 'label']

#: Of each kind of file that is read: positions of bands, counted from 1, and how many it
#: must have.
type Wanted = Mapping[Kind, tuple[tuple[int, ...], int]]

#: In place of a raster's row: not looked for yet, and none.
_UNKNOWN, _NONE = -1, -2


class Reader(ABC):
    """Reads the files of patches.

    Attributes:
        files: The files of each patch.
        wanted: What is read of them.
    """

    def __init__(self, files: PatchTable, wanted: Wanted) -> None:
        """Initialize a new Reader instance.

        Args:
            files: The files of each patch.
            wanted: What is read of them.
        """
        self.files = files
        self.wanted = wanted

    @abstractmethod
    def read(self, index: int, out: Mapping[Any, np.ndarray]) -> dict[Kind, Pixels]:
        """Read the files of a patch.

        Args:
            index: Position of the patch, counted from the end if negative.
            out: Arrays to read into, as far as they fit, by kinds.

        Returns:
            Bands in the types that they are stored in, of the kinds that there are.

        Raises:
            IndexError: If there is no such patch.
            RuntimeError: If a file cannot be read, or is another one than is wanted.
        """


class TreeReader(Reader):
    """Reads GeoTIFFs."""

    def read(self, index: int, out: Mapping[Any, np.ndarray]) -> dict[Kind, Pixels]:
        """Read the files of a patch."""
        files, found = self.files[index], {}
        for kind, (indexes, num_bands) in self.wanted.items():
            path = getattr(files, kind)
            if path is not None:
                found[kind] = read_stored(path, indexes, num_bands, out.get(kind))
                if kind != 'label':
                    require_real(path, found[kind])
        return found


class PackReader(Reader):
    """Reads rasters of a pack, and remembers where they are."""

    def __init__(self, pack: Pack, files: PatchTable, wanted: Wanted) -> None:
        """Initialize a new PackReader instance.

        Args:
            pack: The pack.
            files: The files of each patch.
            wanted: What is read of them.
        """
        super().__init__(files, wanted)
        self._pack = pack
        self._rows = np.full((len(files), len(wanted)), _UNKNOWN, np.int32)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy to another process without what is soon found again."""
        return PackReader, (self._pack, self.files, self.wanted)

    def read(self, index: int, out: Mapping[Any, np.ndarray]) -> dict[Kind, Pixels]:
        """Read the files of a patch; packs hold none but real numbers."""
        rows = self._rows[index].tolist()
        if _UNKNOWN in rows:
            rows = self._find(index)
        kinds, wanted = [], []
        for row, (kind, (indexes, num_bands)) in zip(
            rows, self.wanted.items(), strict=True
        ):
            if row != _NONE:
                kinds.append(kind)
                wanted.append((row, indexes, num_bands, out.get(kind)))
        return dict(zip(kinds, self._pack.read_rows(wanted), strict=True))

    def _find(self, index: int) -> list[int]:
        """Find the rows of a patch in the table of the pack."""
        files = self.files[index]
        paths = [getattr(files, kind) for kind in self.wanted]
        rows = [_NONE if p is None else self._pack.find(p) for p in paths]
        self._rows[index] = rows
        return rows

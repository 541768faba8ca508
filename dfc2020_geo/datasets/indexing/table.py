"""A compact table of the files of many patches, for memory and for workers."""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, overload

import numpy as np

from .files import SEPARATOR, PatchFiles, PatchGroup, PathEnds

# Names on a disk need not be text; these bytes say all that Python makes of them.
_ENCODING = ('utf-8', 'surrogatepass')


class PatchTable(Sequence[PatchFiles]):
    """A sequence of :class:`PatchFiles`, each made when it is asked for.

    It keeps what differs between patches, a few bytes each, and once per group what
    does not.

    Attributes:
        groups: What patches have in common.
        group_of: Position of each patch's group.
        middles: What differs in the names, one text per patch, as bytes joined by
            :data:`SEPARATOR`.
    """

    __slots__ = ('_start', '_stops', 'group_of', 'groups', 'middles')

    def __init__(
        self,
        root: Path,
        groups: Iterable[PatchGroup],
        group_of: np.ndarray,
        middles: Iterable[str] | bytes,
    ) -> None:
        """Initialize a new PatchTable instance.

        Args:
            root: Folder that paths begin with.
            groups: What patches have in common.
            group_of: Position of each patch's group.
            middles: What differs in the names, in the order of *group_of*: texts of
                one or more patches, or all of them as bytes.

        Raises:
            ValueError: If the numbers of patches differ, or there is no such group.
        """
        if not isinstance(middles, bytes):
            middles = SEPARATOR.join(middles).encode(*_ENCODING)
        start = root.as_posix()
        slash = '' if start.endswith('/') else '/'
        groups = tuple(groups)
        self.__setstate__((f'{start}{slash}', groups, group_of, middles))
        num, known = len(self._stops), len(groups)
        if num != len(group_of) or (
            num and not 0 <= group_of.min() <= group_of.max() < known
        ):
            raise ValueError(
                f'Expected a group from 0 to {known - 1} for each of {num} patches, got '
                f'{group_of}.'
            )

    def __getstate__(self) -> tuple[Any, ...]:
        """Leave out what is found again quickly."""
        return self._start, self.groups, self.group_of, self.middles

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Find where the part of each patch ends."""
        self._start, self.groups, self.group_of, self.middles = state
        ends = np.flatnonzero(np.frombuffer(self.middles, np.uint8) == ord(SEPARATOR))
        # Of no patches and of one without any middle, the text is the same.
        last = [len(self.middles)] if len(self.group_of) else []
        self._stops = np.append(ends, last).astype(np.int64)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self._stops)

    @overload
    def __getitem__(self, index: int) -> PatchFiles: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> PatchFiles | Self:
        """Make the files of one patch, or keep some patches.

        Args:
            index: Position of the patch, counted from the end if negative; or a slice.

        Returns:
            The files of the patch; of a slice, a table.

        Raises:
            IndexError: If there is no such patch.
        """
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        position = range(len(self))[index]
        group = self.groups[self.group_of[position]]
        middle = self._middle(position).decode(*_ENCODING)
        return PatchFiles(
            id=group.prefix + middle,
            s2=self._path(group.s2, middle),
            s1=self._path(group.s1, middle),
            label=self._path(group.label, middle),
            scene=group.scene,
        )

    def _middle(self, position: int) -> bytes:
        start = self._stops[position - 1] + 1 if position else 0
        return self.middles[start : self._stops[position]]

    def _path(self, ends: PathEnds | None, middle: str) -> Path | None:
        return ends and Path(f'{self._start}{ends.start}{middle}{ends.extension}')

    def __iter__(self) -> Iterator[PatchFiles]:
        """Make the files of each patch."""
        return (self[position] for position in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Compare with any sequence of files."""
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        pairs = zip(self, other, strict=False)
        return len(self) == len(other) and all(a == b for a, b in pairs)

    __hash__ = None

    def __repr__(self) -> str:
        """Say how many there are, and where."""
        return f'<files of {len(self)} patches in {self._start}>'

    def select(self, indices: Iterable[int]) -> Self:
        """Keep some patches.

        Args:
            indices: Positions of the patches to keep, in the wanted order; counted from
                the end if negative.

        Returns:
            A table of these patches only.

        Raises:
            IndexError: If there is no such patch.
        """
        everything = range(len(self))
        positions = [everything[operator.index(index)] for index in indices]
        used, group_of = np.unique(self.group_of[positions], return_inverse=True)
        middles = SEPARATOR.encode().join(self._middle(p) for p in positions)
        groups = (self.groups[group] for group in used)
        return type(self)(Path(self._start), groups, group_of.astype(np.int32), middles)

    def where(self, keep: Callable[[PatchGroup], bool]) -> Self:
        """Keep the patches of some groups.

        Args:
            keep: Whether to keep the patches of a group.

        Returns:
            A table of these patches only.
        """
        kept = np.array([keep(group) for group in self.groups], bool)
        return self.select(np.flatnonzero(kept[self.group_of]).tolist())

    @property
    def folders(self) -> set[Path]:
        """The folders in which the files lie."""
        return {
            Path(f'{self._start}{ends.start}x').parent
            for group in self.groups
            for ends in (group.s2, group.s1, group.label)
            if ends
        }

"""Pairing of Sentinel-1, Sentinel-2 and label files to patches, by their names."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .files import SEPARATOR, PatchGroup, PathEnds
from .layout import name_some
from .names import FileKind, FileNames
from .table import PatchTable

logger = logging.getLogger(__name__)

#: The files of a patch that lacks some: path by kind.
type IncompletePatch = dict[FileKind, str]


class _Part(NamedTuple):
    """Complete patches that differ in one part of their names, sorted by them."""

    files: dict[FileKind, FileNames]
    middles: str

    def name(self, middle: str) -> str:
        """Name the Sentinel-2 file with its extension: '-' sorts before '.tif'."""
        return _file_name(self.files, middle)

    @property
    def first(self) -> str:
        return self.name(self.middles.partition(SEPARATOR)[0])

    @property
    def last(self) -> str:
        return self.name(self.middles.rpartition(SEPARATOR)[2])

    @property
    def group(self) -> PatchGroup:
        ends = {
            k: PathEnds(names.start, names.extension) for k, names in self.files.items()
        }
        label = ends.get('lc') or ends.get('dfc')
        return PatchGroup(
            _id_prefix(self.files), next(iter(self.files.values())).scene,
            ends.get('s2'), ends.get('s1'), label,
        )  # fmt: skip


def _id_prefix(files: dict[FileKind, FileNames]) -> str:
    names = next(iter(files.values()))
    return files['s2'].prefix if 's2' in files else names.patch_prefix


def _file_name(files: dict[FileKind, FileNames], middle: str) -> str:
    named = files.get('s2') or next(iter(files.values()))
    return f'{_id_prefix(files)}{middle}{named.extension}'


def pair(
    root: Path, file_names: Iterable[FileNames], kinds: Sequence[FileKind]
) -> tuple[PatchTable, list[IncompletePatch]]:
    """Bring the files of each patch together.

    Args:
        root: Folder in which the files were found.
        file_names: Files, of which those of other kinds are left out.
        kinds: The kinds of files that a patch needs.

    Returns:
        Patches, and the files of each patch that lacks some; both sorted by the names
        of the Sentinel-2 files, as in the 2020 baseline.

    Raises:
        RuntimeError: If two files claim to be the same part of a patch.
    """
    rivals: dict[str, list[FileNames]] = {}  # only these can hold files of one patch
    for names in file_names:
        if names.kind in kinds:
            rivals.setdefault(names.patch_prefix, []).append(names)
    parts: list[_Part] = []
    incomplete: list[tuple[str, IncompletePatch]] = []
    for group in rivals.values():
        files = {names.kind: names for names in group}
        middles = group[0].middles
        if len(files) == len(group) == len(kinds) and all(
            names.middles == middles for names in group
        ):
            parts.append(_Part(files, middles))
        else:
            complete, lacking = _pair_each(root, group, len(kinds))
            parts += complete
            incomplete += lacking
    incomplete.sort(key=lambda named: named[0])
    return _build(root, parts), [files for _, files in incomplete]


def _pair_each(
    root: Path, file_names: Iterable[FileNames], num_kinds: int
) -> tuple[list[_Part], list[tuple[str, IncompletePatch]]]:
    """Bring files together one by one."""
    patches: dict[str, dict[FileKind, FileNames]] = {}
    for names in file_names:
        for middle in names.middles.split(SEPARATOR):
            files = patches.setdefault(middle, {})
            if names.kind in files:
                raise RuntimeError(
                    f'Expected one {names.kind} file of patch {names.patch_prefix}{middle}, '
                    f'got {_path(root, files[names.kind], middle)} and '
                    f'{_path(root, names, middle)}; remove one of them.'
                )
            files[names.kind] = names
    complete: dict[tuple[tuple[FileKind, FileNames], ...], list[str]] = {}
    incomplete = []
    for middle, files in patches.items():
        if len(files) == num_kinds:
            complete.setdefault(tuple(files.items()), []).append(middle)
        else:
            paths = {kind: _path(root, names, middle) for kind, names in files.items()}
            incomplete.append((_file_name(files, middle), paths))
    parts = [_sorted_part(dict(files), middles) for files, middles in complete.items()]
    return parts, incomplete


def _path(root: Path, names: FileNames, middle: str) -> str:
    return f'{root.as_posix()}/{names.start}{middle}{names.extension}'


def _sorted_part(files: dict[FileKind, FileNames], middles: Iterable[str]) -> _Part:
    ordered = sorted(middles, key=lambda middle: _file_name(files, middle))
    return _Part(files, SEPARATOR.join(ordered))


def _build(root: Path, parts: list[_Part]) -> PatchTable:
    """Put the patches of all parts in the order of their names."""
    parts = sorted(parts, key=lambda part: part.first)
    groups = [part.group for part in parts]
    follows = all(a.last < b.first for a, b in pairwise(parts))
    if follows:
        lengths = [part.middles.count(SEPARATOR) + 1 for part in parts]
        group_of = np.repeat(np.arange(len(parts), dtype=np.int32), lengths)
        return PatchTable(root, groups, group_of, (part.middles for part in parts))
    patches = sorted(_name_each(parts))
    group_of = np.array([position for _, position, _ in patches], np.int32)
    return PatchTable(root, groups, group_of, (middle for *_, middle in patches))


def _name_each(parts: Iterable[_Part]) -> Iterator[tuple[str, int, str]]:
    for position, part in enumerate(parts):
        for middle in part.middles.split(SEPARATOR):
            yield part.name(middle), position, middle


def pair_labelled(
    root: Path, file_names: Iterable[FileNames], kinds: Sequence[FileKind]
) -> PatchTable:
    """Pair files of which each image must have its twin and its label.

    Args:
        root: Folder in which the files were found, for messages.
        file_names: The files.
        kinds: The kinds of files that a patch needs, the label's last.

    Returns:
        Patches, sorted by the names of their Sentinel-2 files. Labels without any image
        are left out, which is logged.

    Raises:
        FileNotFoundError: If an image has no twin or no label.
        RuntimeError: If a file is there twice.
    """
    patches, incomplete = pair(root, file_names, kinds)
    label = kinds[-1]
    images = [files for files in incomplete if list(files) != [label]]
    num_left_out = len(incomplete) - len(images)
    require_twins(root, images, kinds)
    if num_left_out:
        logger.warning(
            'Left out %d %s files without an image in %s.', num_left_out, label, root
        )
    return patches


def require_twins(
    root: Path, incomplete: Iterable[IncompletePatch], kinds: Sequence[FileKind]
) -> None:
    """Check that no patch lacks a file.

    Args:
        root: Folder in which the files were found, for messages.
        incomplete: As :func:`pair` returns it.
        kinds: The kinds of files that a patch needs.

    Raises:
        FileNotFoundError: If one does; the message counts them and names the first.
    """
    without: dict[tuple[FileKind, FileKind], list[str]] = {}
    for files in incomplete:
        has = next(kind for kind in kinds if kind in files)
        for lacks in (kind for kind in kinds if kind not in files):
            without.setdefault((has, lacks), []).append(file_name(files[has]))
    if without:
        found = '; '.join(
            f'{len(names)} {has} files without {lacks} ({name_some(names)})'
            for (has, lacks), names in without.items()
        )
        advice = 'Complete the data, or remove what belongs to these patches.'
        if any(lacks in ('lc', 'dfc') for _, lacks in without):
            advice += ' Images without labels can be read as unlabeled.'
        raise FileNotFoundError(
            f'Expected {", ".join(kinds)} of each patch in {root}, got {found}. {advice}'
        )


def file_name(path: str) -> str:
    """Name a file, without its folder.

    Args:
        path: Path of the file, with ``/``.

    Returns:
        Its name.
    """
    return path.rpartition('/')[2]

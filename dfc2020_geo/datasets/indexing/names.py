"""File names: the patch a file belongs to, and names that differ in one part."""

import re
from collections.abc import Collection
from typing import NamedTuple

from .files import SEPARATOR

#: What is in a file: ``'s1'``, ``'s2'``, or labels, ``'lc'`` or ``'dfc'``.
type FileKind = str


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


def patch_name(stem: str, kind: FileKind) -> str:
    """Name the patch that a file belongs to.

    Args:
        stem: Name of the file, without its extension.
        kind: What is in the file.

    Returns:
        Stem of the patch's Sentinel-2 file.
    """
    return rename(rename(stem, kind, 's2'), 's1', 's2')


class FileNames(NamedTuple):
    """Files of one folder whose names differ in one part only.

    Attributes:
        kind: What is in the files.
        scene: Season or phase and scene, for example ``'ROIs1158_spring/1'``.
        folder: Their folder, from the root and with ``/``.
        prefix: What their names begin with.
        middles: What differs, sorted by the names, as one text: half a million names
            are compared as a few hundred texts.
        extension: What their names end in, with the dot.
    """

    kind: FileKind
    scene: str
    folder: str
    prefix: str
    middles: str
    extension: str

    @property
    def patch_prefix(self) -> str:
        """What the names of the patches begin with; the middles follow."""
        return patch_name(self.prefix, self.kind)

    @property
    def start(self) -> str:
        """What the paths begin with, from the root."""
        return f'{self.folder}/{self.prefix}' if self.folder else self.prefix

    @property
    def patches(self) -> list[str]:
        """The names of the patches."""
        prefix = self.patch_prefix
        return [f'{prefix}{middle}' for middle in self.middles.split(SEPARATOR)]

    def keep(self, patches: Collection[str]) -> list['FileNames']:
        """Keep the files of some patches: one element, or none if no file is left.

        Args:
            patches: Names of patches.

        Returns:
            These names, or nothing if no file is left.
        """
        named = zip(self.middles.split(SEPARATOR), self.patches, strict=True)
        kept = [middle for middle, patch in named if patch in patches]
        return [self._replace(middles=SEPARATOR.join(kept))] if kept else []


def match_names(
    rasters: re.Pattern[str], folder: str, names: list[str]
) -> list[FileNames]:
    """Bring the rasters of a packaging together.

    Args:
        rasters: The paths of its rasters, see ``FolderLayout``.
        folder: A folder, from the root.
        names: Names of GeoTIFFs in the folder, sorted; others are left out.

    Returns:
        Its rasters in the folder.
    """
    parts: dict[FileNames, list[str]] = {}
    for name in names:
        match = rasters.fullmatch(f'{folder}/{name}' if folder else name)
        if not match:
            continue
        stem, scene = match['stem'], f'{match["season"]}/{match["scene"]}'
        cut = stem.rindex('_p') + len('_p')
        key = FileNames(match['kind'], scene, folder, stem[:cut], '', name[len(stem) :])
        # All that differs is digits: what holds for the first name, holds for each.
        if (
            not parts
            and (middles := _split_all(names, key)) is not None
            and _are_numbers(middles)
        ):
            return [key._replace(middles=middles)]
        parts.setdefault(key, []).append(stem[cut:])
    return [key._replace(middles=SEPARATOR.join(m)) for key, m in parts.items()]


def group_names(kind: FileKind, folder: str, names: list[str]) -> list[FileNames]:
    """Bring rasters of any names together, by what stands before the last ``_``.

    Args:
        kind: What is in the files.
        folder: Their folder, from the root.
        names: Their names, sorted.

    Returns:
        The files, without a scene.
    """
    parts: dict[FileNames, list[str]] = {}
    for name in names:
        stem, dot, extension = name.rpartition('.')
        cut = stem.rfind('_') + 1
        key = FileNames(kind, '', folder, stem[:cut], '', dot + extension)
        if not parts and (middles := _split_all(names, key)) and '_' not in middles:
            return [key._replace(middles=middles)]
        parts.setdefault(key, []).append(stem[cut:])
    return [key._replace(middles=SEPARATOR.join(m)) for key, m in parts.items()]


def _split_all(names: list[str], key: FileNames) -> str | None:
    """Cut prefix and extension off all names at once; None if they differ."""
    text = SEPARATOR.join(names)
    between = f'{key.extension}{SEPARATOR}{key.prefix}'
    if not text.startswith(key.prefix) or not text.endswith(key.extension):
        return None
    middles = text[len(key.prefix) : len(text) - len(key.extension)]
    shortened = middles.replace(between, SEPARATOR)
    cuts = (len(names) - 1) * (len(between) - len(SEPARATOR))
    return shortened if len(shortened) == len(middles) - cuts else None


def _are_numbers(middles: str) -> bool:
    is_complete = SEPARATOR * 2 not in f'{SEPARATOR}{middles}{SEPARATOR}'
    return is_complete and middles.replace(SEPARATOR, '').isdecimal()

"""The packagings of the contest's data (https://doi.org/10.21227/rha7-m332)."""

import csv
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from ...bands import Sensor
from .layout import FolderLayout, find_raster_folders, name_some, not_found
from .names import FileKind, FileNames, patch_name
from .pairing import file_name, pair, pair_labelled, require_twins
from .table import PatchTable
from .trees import Tree

logger = logging.getLogger(__name__)

_PHASE_FOLDER = (
    r'(?:(?:ROIs0000_)?(?:validation|val|test)'
    r'|(?:s1|s2|dfc)_(?:0|validation|val|test))'
)


def _phase(name: str) -> FolderLayout:
    """Lay out a phase of the split zips, in the ways they have been extracted.

    What a file is stands in its name: the folders differ from copy to copy.
    """
    return FolderLayout(
        folders=re.compile(_PHASE_FOLDER),
        rasters=re.compile(
            rf'(?:[^/]+/(?={_PHASE_FOLDER}/))?(?:{_PHASE_FOLDER}/)*'
            rf'(?P<stem>(?P<season>ROIs0000_{name})_(?P<kind>s1|s2|dfc)_(?P<scene>\w+)'
            r'_p\d+)\.(?i:tiff?)'
        ),
        expected=f"the contest's split zips, extracted: files "
        f'ROIs0000_{name}_<s1, s2 or dfc>_0_p<N>.tif in folders like '
        f'ROIs0000_{name}/s2_{"0" if name == "test" else name}',
    )


_PUBLIC = FolderLayout(
    folders=re.compile(
        r'DFC_Public_Dataset|ROIs0000_(autumn|fall|winter|spring|summer)'
        r'|(s1|s2|dfc)_[^_]+'
    ),
    rasters=re.compile(
        r'(?:[^/]+/)?(?:DFC_Public_Dataset/)?'
        r'(?P<season>ROIs0000_(?:autumn|fall|winter|spring|summer))'
        r'/(?P<kind>s1|s2|dfc)_(?P<scene>[^/_]+)'
        r'/(?P<stem>(?P=season)_(?P=kind)_(?P=scene)_p\d+)\.(?i:tiff?)'
    ),
    expected='DFC_Public_Dataset with folders like ROIs0000_autumn/s2_Mumbai',
)
_COPERNICUS = FolderLayout(
    folders=re.compile('dfc2020_s1s2|s1|s2|dfc'),
    rasters=re.compile(
        r'(?:[^/]+/)?(?:dfc2020_s1s2/)?(?P<kind>s1|s2|dfc)'
        r'/(?P<stem>(?P<season>ROIs0000_test)_(?P=kind)_(?P<scene>\w+)_p\d+)'
        r'\.(?i:tiff?)'
    ),
    expected='dfc2020_s1s2 of Copernicus-Bench with folders s1, s2 and dfc',
)

_COPERNICUS_PARTS = {f'copernicus-{part}': part for part in ('train', 'val', 'test')}

_LAYOUTS = {
    'val': _phase('validation'),
    'test': _phase('test'),
    'all': _PUBLIC,
    **dict.fromkeys(_COPERNICUS_PARTS, _COPERNICUS),
}

#: The packagings by a split of theirs: what people call them, and splits by lists.
PACKAGINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    'val': ('DFC2020, validation phase', ()),
    'test': ('DFC2020, test phase', ()),
    'all': ('DFC_Public_Dataset', ()),
    'copernicus-test': ('DFC2020 of Copernicus-Bench', tuple(_COPERNICUS_PARTS)),
}

_LIST_ENTRY = re.compile(
    r'(?P<stem>ROIs0000_test_(?P<kind>s1|s2|dfc)_\w+_p\d+)(\.tiff?)?'
)

_FOUND = {
    'val': "The contest's validation phase is there: split 'val'.",
    'test': "The contest's test phase is there: split 'test'.",
    'all': (
        "DFC_Public_Dataset is there, which can only be split 'all': which of its "
        'cities make up val and test is not published, and its patches are numbered '
        'anew.'
    ),
    'copernicus-test': (
        f'Copernicus-Bench is there: splits {", ".join(_COPERNICUS_PARTS)}, all cut '
        "from the contest's test phase."
    ),
}


def index_dfc2020(
    tree: Tree,
    split: str,
    sensors: Sequence[Sensor],
    cities: Sequence[str] | None = None,
) -> PatchTable:
    """Find the patches of a split of the contest's data.

    Args:
        tree: Its root is the packaging that has the split, or the folder above it.
        split: One of the splits of ``DFC2020Patches``.
        sensors: The sensors whose images are needed.
        cities: Cities of ``DFC_Public_Dataset`` to keep, all if None.

    Returns:
        Patches with DFC2020 labels, sorted by the names of their Sentinel-2 files.

    Raises:
        FileNotFoundError: If there are no patches or an image has no twin or label.
            ``DFC_Public_Dataset`` is known to have such patches: they are skipped,
            and that is logged.
        RuntimeError: If a line of a list is not understood, or a file is there twice.
        ValueError: If a city is unknown.
    """
    layout = _LAYOUTS[split]
    file_names = _find_file_names(tree, layout)
    kinds: tuple[FileKind, ...] = (*sensors, 'dfc')
    patches = None
    if not file_names:
        pass
    elif split == 'all':
        patches = _pair_public(tree, file_names, kinds, cities)
    elif split in _COPERNICUS_PARTS:
        patches = _pair_copernicus(tree, file_names, kinds, _COPERNICUS_PARTS[split])
    else:
        patches = pair_labelled(tree.root, file_names, kinds)
    if not patches:
        raise not_found(tree, layout.expected, _hint(tree, layout))
    return patches


def find_packagings(tree: Tree) -> dict[str, list[FileNames]]:
    """Find all files of the contest's data, whatever packaging they are of.

    Args:
        tree: Where to look.

    Returns:
        The files of the packagings that are there, by the key of :data:`PACKAGINGS`.
    """
    found = {key: _find_file_names(tree, _LAYOUTS[key]) for key in PACKAGINGS}
    return {key: file_names for key, file_names in found.items() if file_names}


def _find_file_names(tree: Tree, layout: FolderLayout) -> list[FileNames]:
    return [
        names
        for place in find_raster_folders(tree, layout)
        for names in place.file_names
    ]


def _hint(tree: Tree, layout: FolderLayout) -> str:
    """Say which other packagings are there."""
    return ' '.join(
        text
        for split, text in _FOUND.items()
        if _LAYOUTS[split] is not layout and _find_file_names(tree, _LAYOUTS[split])
    )


def _pair_public(
    tree: Tree,
    file_names: Sequence[FileNames],
    kinds: Sequence[FileKind],
    cities: Sequence[str] | None,
) -> PatchTable:
    """Pair what is complete: the release is known to hold patches that are not."""
    if cities is not None:
        present = sorted({_city(names) for names in file_names})
        wanted = [cities] if isinstance(cities, str) else list(cities)
        unknown = [city for city in wanted if city not in present]
        if unknown or not wanted:
            raise ValueError(
                f'Expected one or more of the cities {", ".join(present)}, '
                f'got {unknown or wanted}.'
            )
        file_names = [names for names in file_names if _city(names) in wanted]
    patches, incomplete = pair(tree.root, file_names, kinds)
    if incomplete:
        names = [file_name(next(iter(files.values()))) for files in incomplete]
        logger.warning(
            'Skipped %d incomplete patches of DFC_Public_Dataset: %s.',
            len(names),
            name_some(names),
        )
    return patches


def _city(names: FileNames) -> str:
    return names.scene.partition('/')[2]


def _pair_copernicus(
    tree: Tree, file_names: Sequence[FileNames], kinds: Sequence[FileKind], part: str
) -> PatchTable:
    """Pair what a list of Copernicus-Bench names."""
    folder = file_names[0].folder.rpartition('/')[0]
    home = tree.root / folder
    path = home / f'dfc-{part}-new.csv'
    if not tree.is_file(path):
        expected = f'{path.name} beside s1, s2 and dfc'
        raise not_found(tree, expected, 'Extract it there.', folder)
    listed = _read_list(path)
    chosen = [kept for names in file_names for kept in names.keep(listed)]
    patches, incomplete = pair(tree.root, chosen, kinds)
    require_twins(home, incomplete, kinds)
    absent = sorted(
        listed
        - {name for names in chosen for name in names.patches}
        - {patch_name(Path(raster).stem, 'dfc') for raster in tree.skipped}
    )
    if absent:
        raise FileNotFoundError(
            f'Expected the patches of {path} in {home}, got {len(absent)} without any '
            f'file: {name_some(absent)}. Complete the data.'
        )
    return patches


def _read_list(path: Path) -> set[str]:
    """Read the names of labels, in the first column, as names of patches."""
    patches = set()
    with path.open(encoding='utf-8-sig', errors='replace', newline='') as file:
        for number, row in enumerate(csv.reader(file), 1):
            entry = row[0].strip() if row else ''
            if match := _LIST_ENTRY.fullmatch(entry):
                patches.add(patch_name(match['stem'], match['kind']))
            elif entry:
                raise RuntimeError(
                    f"Expected names like 'ROIs0000_test_dfc_0_p1.tif' in {path}, "
                    f"got '{entry}' in line {number}."
                )
    if not patches:
        raise RuntimeError(f'Expected names of labels in {path}, got none.')
    return patches

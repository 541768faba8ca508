"""The layout and the splits of SEN12MS (https://doi.org/10.14459/2019mp1474000)."""

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...bands import Sensor
from .layout import FolderLayout, RasterFolder, find_raster_folders, not_found
from .names import FileKind, FileNames, patch_name
from .pairing import pair_labelled
from .table import PatchTable
from .trees import Tree

logger = logging.getLogger(__name__)

_SEASONS = ('ROIs1158_spring', 'ROIs1868_summer', 'ROIs1970_fall', 'ROIs2017_winter')
_SEASON = f'(?P<season>{"|".join(_SEASONS)})'

_LAYOUT = FolderLayout(
    folders=re.compile(rf'{_SEASON}|(s1|s2|lc)_\d+'),
    rasters=re.compile(
        rf'(?:[^/]+/)?{_SEASON}/(?P<kind>s1|s2|lc)_(?P<scene>\d+)'
        r'/(?P<stem>(?P=season)_(?P=kind)_(?P=scene)_p\d+)\.(?i:tiff?)'
    ),
    expected=f'one or more of the folders {", ".join(_SEASONS)} with folders '
    's1_<scene>, s2_<scene> and lc_<scene> of GeoTIFFs',
    places=re.compile(rf'(?:[^/]+/)?{_SEASON}/(?P<kind>s1|s2|lc)_(?P<scene>\d+)'),
)

#: The Sentinel-1 image of this patch is known to be damaged.
BROKEN_PATCH = 'ROIs1868_summer_s2_146_p202'

_SCENE_LIST = 'SEN12MS_holdOutScenes.txt'
_SCENE_LINE = re.compile(rf'{_SEASON}[/\\](s1|s2|lc)_(?P<scene>\d+)')
_FILE_LISTS = {'train': 'train_list.txt', 'holdout': 'test_list.txt'}
_FILE_LINE = re.compile(
    rf'(?P<stem>{_SEASON}_(?P<kind>s1|s2|lc)_(?P<scene>\d+)_p\d+)(\.tiff?)?'
)
_LISTS_URL = 'https://github.com/schmitt-muc/SEN12MS/tree/master/splits'

_GEO_VAL_SHARE = 0.1
_GEO_VAL_SEED = 2020


def index_sen12ms(tree: Tree, split: str, sensors: Sequence[Sensor]) -> PatchTable:
    """Find the patches of a split of SEN12MS.

    Args:
        tree: Its root holds the folders of the seasons, or the folder of those.
        split: ``'train'`` or ``'holdout'``, by the official list of scenes or
            torchgeo's lists of files in the root; ``'geo_train'`` or ``'geo_val'``,
            a part of ``'train'`` by scene.
        sensors: The sensors whose images are needed.

    Returns:
        Patches with IGBP labels, sorted by the names of their Sentinel-2 files. The one
        that is known to be damaged is skipped, and labels without an image are left
        out; that is logged.

    Raises:
        FileNotFoundError: If there are no patches, an image has no twin or label, or
            there is no list.
        RuntimeError: If a line of the list is not understood, or a file is there twice.
    """
    places = find_raster_folders(tree, _LAYOUT)
    if not any(place.file_names for place in places if place.kind in sensors):
        raise not_found(tree, _LAYOUT.expected)
    part = 'holdout' if split == 'holdout' else 'train'
    kinds = (*sensors, 'lc')
    file_names, source = _choose(tree, places, part, kinds)
    patches = pair_labelled(tree.root, _without_broken(file_names), kinds)
    scenes = {group.scene for group in patches.groups}
    if split.startswith('geo_'):
        held_out = geo_val_scenes(scenes)
        kept = held_out if split == 'geo_val' else scenes - held_out
        patches = patches.where(lambda group: group.scene in kept)
    if not patches:
        needed = 'two or more' if split == 'geo_val' else 'one or more'
        num_found = len({place.scene for place in places if place.file_names})
        raise FileNotFoundError(
            f"Expected {needed} '{part}' scenes in {tree.root} for split '{split}', got "
            f'{len(scenes)} of {num_found} by {source}. Add scenes, or choose another '
            'split.'
        )
    return patches


def find_sen12ms(tree: Tree) -> list[FileNames]:
    """Find all files of SEN12MS, whatever split they are of.

    Args:
        tree: Where to look.

    Returns:
        The files; none if it is not there.
    """
    places = find_raster_folders(tree, _LAYOUT)
    return [names for place in places for names in place.file_names]


def geo_val_scenes(scenes: Iterable[str]) -> set[str]:
    """Choose the scenes that ``geo_val`` holds out of the training scenes.

    The choice depends on the names of the scenes only.

    Args:
        scenes: Scene of each patch.

    Returns:
        A tenth of the scenes, at least one where there are two or more.
    """
    ranked = sorted(set(scenes), key=_rank)
    return set(ranked[: max(round(_GEO_VAL_SHARE * len(ranked)), len(ranked) > 1)])


def _rank(scene: str) -> bytes:
    return hashlib.sha256(f'{_GEO_VAL_SEED} {scene}'.encode()).digest()


def _without_broken(file_names: Iterable[FileNames]) -> list[FileNames]:
    """Leave out the files of the broken patch, and log that."""
    intact, is_there = [], False
    for names in file_names:
        near = names.patches if BROKEN_PATCH.startswith(names.patch_prefix) else []
        if BROKEN_PATCH in near:
            is_there = True
            intact += names.keep(set(near) - {BROKEN_PATCH})
        else:
            intact.append(names)
    if is_there:
        logger.warning(
            'Skipped patch %s of SEN12MS: its Sentinel-1 image is known to be damaged.',
            BROKEN_PATCH,
        )
    return intact


def _choose(
    tree: Tree, places: Sequence[RasterFolder], part: str, kinds: Sequence[FileKind]
) -> tuple[list[FileNames], Path]:
    """Read the folders of a part, and say which list names them."""
    # A place is HOME/ROIs1158_spring/s1_1, where HOME is the root or below it.
    seasons = {Path(place.path).parent for place in places if place.kind}
    homes = sorted({str(tree.root / season.parent) for season in seasons})
    folders = [tree.root, *map(Path, homes), tree.root / 'splits']
    needed = [place for place in places if place.kind in kinds]
    if path := _first_file(tree, folders, _SCENE_LIST):
        lines = _read_list(path, _SCENE_LINE, 'ROIs1158_spring/s1_6')
        is_holdout, scenes = part == 'holdout', _scenes(lines)
        there = {place.scene for place in needed if place.file_names}
        if there and not is_holdout and scenes.isdisjoint(there):
            raise FileNotFoundError(
                f'Expected {path} to name scenes of the tree, which holds '
                f'{min(there)} and others, got {len(scenes)} scenes of which none is '
                f'there; it holds nothing out. Copy the list of the tree there, from '
                f'{_LISTS_URL}.'
            )
        chosen = [place for place in needed if (place.scene in scenes) == is_holdout]
        return [names for place in chosen for names in place.file_names], path
    if path := _first_file(tree, folders, _FILE_LISTS[part]):
        lines = _read_list(path, _FILE_LINE, 'ROIs1158_spring_s2_6_p30.tif')
        patches = {patch_name(line['stem'], line['kind']) for line in lines}
        scenes = _scenes(lines)
        file_names = (
            names for p in needed if p.scene in scenes for names in p.file_names
        )
        return [kept for names in file_names for kept in names.keep(patches)], path
    expected = f"{_SCENE_LIST} (or torchgeo's {_FILE_LISTS[part]})"
    raise not_found(tree, expected, f'Copy it there from {_LISTS_URL}.')


def _scenes(lines: Iterable[re.Match[str]]) -> set[str]:
    return {f'{line["season"]}/{line["scene"]}' for line in lines}


def _first_file(tree: Tree, folders: Iterable[Path], name: str) -> Path | None:
    paths = (folder / name for folder in folders)
    return next((path for path in paths if tree.is_file(path)), None)


def _read_list(path: Path, form: re.Pattern[str], example: str) -> list[re.Match[str]]:
    """Match each line of a list, whatever its quotes, ends and byte order mark."""
    matches = []
    for number, line in enumerate(
        path.read_text('utf-8-sig', 'replace').splitlines(), 1
    ):
        entry = line.strip().strip('\'",;').removeprefix('./').rstrip('/\\')
        if match := form.fullmatch(entry):
            matches.append(match)
        elif entry:
            raise RuntimeError(
                f"Expected lines like '{example}' in {path}, got '{entry}' in line "
                f'{number}.'
            )
    if not matches:
        raise RuntimeError(f"Expected lines like '{example}' in {path}, got none.")
    return matches

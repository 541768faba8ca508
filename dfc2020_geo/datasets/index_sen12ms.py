"""The layout and the splits of SEN12MS (https://doi.org/10.14459/2019mp1474000)."""

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..bands import Sensor
from .index import Layout, Raster, find_rasters, not_found, patch_name
from .pairing import PatchFiles, pair_labelled

logger = logging.getLogger(__name__)

_SEASONS = ('ROIs1158_spring', 'ROIs1868_summer', 'ROIs1970_fall', 'ROIs2017_winter')
_SEASON = f'(?P<season>{"|".join(_SEASONS)})'

_LAYOUT = Layout(
    folders=re.compile(rf'{_SEASON}|(s1|s2|lc)_\d+'),
    rasters=re.compile(
        rf'(?:[^/]+/)?{_SEASON}/(?P<kind>s1|s2|lc)_(?P<scene>\d+)'
        r'/(?P<stem>(?P=season)_(?P=kind)_(?P=scene)_p\d+)\.(?i:tiff?)'
    ),
    expected=f'one or more of the folders {", ".join(_SEASONS)} with folders '
    's1_<scene>, s2_<scene> and lc_<scene> of GeoTIFFs',
)

#: The Sentinel-1 image of this patch is known to be damaged.
_BROKEN_PATCH = 'ROIs1868_summer_s2_146_p202'

_SCENE_LIST = 'SEN12MS_holdOutScenes.txt'
_SCENE_LINE = re.compile(rf'{_SEASON}[/\\](s1|s2|lc)_(?P<scene>\d+)')
_FILE_LISTS = {'train': 'train_list.txt', 'holdout': 'test_list.txt'}
_FILE_LINE = re.compile(rf'(?P<stem>{_SEASON}_(?P<kind>s1|s2|lc)_\d+_p\d+)(\.tiff?)?')
_LISTS_URL = 'https://github.com/schmitt-muc/SEN12MS/tree/master/splits'

_GEO_VAL_SHARE = 0.1
_GEO_VAL_SEED = 2020


def index_sen12ms(
    root: Path, split: str, sensors: Sequence[Sensor]
) -> list[PatchFiles]:
    """Find the patches of a split of SEN12MS.

    Args:
        root: Folder of the seasons, or the folder above it.
        split: ``'train'`` or ``'holdout'``, by the official list of scenes or
            torchgeo's lists of files in *root*; ``'geo_train'`` or ``'geo_val'``,
            a part of ``'train'`` by scene.
        sensors: The sensors whose images are needed.

    Returns:
        Patches with IGBP labels, sorted by the names of their Sentinel-2 files.

    Raises:
        FileNotFoundError: If there are no patches, an image has no twin or label, or
            there is no list.
        RuntimeError: If a line of the list is not understood, or a file is there twice.
    """
    rasters = find_rasters(root, _LAYOUT)
    if not any(raster.kind in sensors for raster in rasters):
        raise not_found(root, _LAYOUT.expected)
    part = 'holdout' if split == 'holdout' else 'train'
    chosen, source = _choose(root, rasters, part)
    patches = pair_labelled(root, _without_broken(chosen), (*sensors, 'lc'))
    scenes = {patch.scene for patch in patches}
    if split.startswith('geo_'):
        held_out = geo_val_scenes(scenes)
        kept = held_out if split == 'geo_val' else scenes - held_out
        patches = [patch for patch in patches if patch.scene in kept]
    if not patches:
        needed = 'two or more' if split == 'geo_val' else 'one or more'
        raise FileNotFoundError(
            f"Expected {needed} '{part}' scenes in {root} for split '{split}', got "
            f'{len(scenes)} of {len({raster.scene for raster in rasters})} by {source}. '
            'Add scenes, or choose another split.'
        )
    return patches


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


def _without_broken(rasters: list[Raster]) -> list[Raster]:
    intact = [raster for raster in rasters if raster.patch != _BROKEN_PATCH]
    if len(intact) < len(rasters):
        logger.warning(
            'Skipped patch %s of SEN12MS: its Sentinel-1 image is known to be damaged.',
            _BROKEN_PATCH,
        )
    return intact


def _choose(
    root: Path, rasters: Sequence[Raster], part: str
) -> tuple[list[Raster], Path]:
    """Keep the rasters of a part, and say which list names them."""
    # A raster is HOME/ROIs1158_spring/s1_1/NAME, where HOME is the root or below it.
    homes = sorted({raster.path.rsplit('/', 3)[0] for raster in rasters})
    folders = [root, *map(Path, homes), root / 'splits']
    if path := _first_file(folders, _SCENE_LIST):
        lines = _read_list(path, _SCENE_LINE, 'ROIs1158_spring/s1_6')
        scenes = {f'{line["season"]}/{line["scene"]}' for line in lines}
        is_holdout = part == 'holdout'
        return [r for r in rasters if (r.scene in scenes) == is_holdout], path
    if path := _first_file(folders, _FILE_LISTS[part]):
        lines = _read_list(path, _FILE_LINE, 'ROIs1158_spring_s2_6_p30.tif')
        patches = {patch_name(line['stem'], line['kind']) for line in lines}
        return [raster for raster in rasters if raster.patch in patches], path
    expected = f"{_SCENE_LIST} (or torchgeo's {_FILE_LISTS[part]})"
    raise not_found(root, expected, f'Copy it there from {_LISTS_URL}.')


def _first_file(folders: Iterable[Path], name: str) -> Path | None:
    paths = (folder / name for folder in folders)
    return next((path for path in paths if path.is_file()), None)


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

"""Synthetic patches in the layout of SEN12MS, with its holdout list."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from .labels import truth_as_igbp, with_lccs
from .regions import REGIONS
from .scenes import Stream, SyntheticScene, draw_patches

#: Seasons of SEN12MS: growth of vegetation in the north (-1 to 1), a training scene and
#: a holdout scene.
SEASONS: dict[str, tuple[float, int, int]] = {
    'ROIs1158_spring': (0.5, 15, 63),
    'ROIs1868_summer': (1, 146, 15),
    'ROIs1970_fall': (-0.3, 8, 112),
    'ROIs2017_winter': (-0.9, 146, 21),
}

#: Season, scene and patch of SEN12MS's damaged Sentinel-1 file.
_BROKEN = ('ROIs1868_summer', 146, 202)

Labels = Literal['modis', 'truth']

_KINDS = list(REGIONS.values())


def write_sen12ms(
    root: Path | str,
    *,
    seed: int = 0,
    size: int = 256,
    seasons: Sequence[str] = tuple(SEASONS),
    scenes_per_season: int = 4,
    patches_per_scene: int = 4,
    labels: Labels = 'modis',
) -> Path:
    """Write synthetic patches in the layout of SEN12MS, and its list of holdout scenes.

    One scene of each season is in the holdout. Scenes lie in different UTM zones, every
    third south of the equator. As in SEN12MS, a summer patch is damaged: its Sentinel-1
    is all NaN. A corner of the first patch of each season has NaN in Sentinel-1 as
    well. ``s1`` is float32 (dB), ``s2`` uint16 (reflectance x 10 000), ``lc`` uint8.

    Args:
        root: Folder to write to.
        seed: Seed of the data set; equal seeds give equal files.
        size: Height and width of a patch in pixels.
        seasons: Which of :data:`SEASONS` to write.
        scenes_per_season: Scenes of a season, from 2 to 100.
        patches_per_scene: Patches of a scene, from 2 to 100.
        labels: ``'modis'`` (coarse, with errors) or ``'truth'`` (10 m, without).

    Returns:
        The root.

    Raises:
        ValueError: If a season or *labels* is unknown or a count out of its range.
    """
    if unknown := sorted(set(seasons) - set(SEASONS)):
        raise ValueError(f'Expected seasons of {tuple(SEASONS)}, got {unknown}.')
    if labels not in ('modis', 'truth'):
        raise ValueError(f"Expected labels 'modis' or 'truth', got '{labels}'.")
    if not (2 <= scenes_per_season <= 100 and 2 <= patches_per_scene <= 100):
        raise ValueError(
            'Expected 2 to 100 scenes per season and patches per scene, got '
            f'{scenes_per_season} and {patches_per_scene}.'
        )
    root = Path(root)
    holdout = []
    for season in seasons:
        number = list(SEASONS).index(season)
        rng = np.random.default_rng([seed, Stream.SEN12MS, number])
        scenes = _draw_ids(SEASONS[season][1:], scenes_per_season, 150, rng)
        holdout.append(f'{season}/s1_{scenes[1]}\n')
        for position, scene in enumerate(scenes):
            order = number * scenes_per_season + position
            rng = np.random.default_rng([seed, Stream.SEN12MS, number, position])
            patches = _draw_season(season, order, size, patches_per_scene, rng)
            if position == 0:
                patches[0].s1[:, : size // 4, : size // 3] = np.nan
            _write_sen12ms_scene(root, season, scene, patches, labels, rng)
    (root / 'SEN12MS_holdOutScenes.txt').write_text(''.join(holdout))
    return root


def _draw_ids(
    known: tuple[int, ...], count: int, end: int, rng: np.random.Generator
) -> list[int]:
    """Return *known* and random numbers below *end*, *count* in all."""
    others = rng.permutation(np.setdiff1d(np.arange(1, end), known))
    return [*known, *map(int, others)][:count]


def _draw_season(
    season: str, order: int, size: int, count: int, rng: np.random.Generator
) -> list[SyntheticScene]:
    """Draw the patches of a scene; every third scene is south of the equator."""
    north = order % 3 != 2
    growth = SEASONS[season][0] * (1 if north else -1)
    return draw_patches(_KINDS[order % len(_KINDS)], size, count, growth, rng, north)


def _write_sen12ms_scene(
    root: Path,
    season: str,
    scene: int,
    patches: list[SyntheticScene],
    labels: Labels,
    rng: np.random.Generator,
) -> None:
    broken = _BROKEN[2:] if (season, scene) == _BROKEN[:2] else ()
    ids = _draw_ids(broken, len(patches), 600, rng)[::-1]
    for patch_id, patch in zip(ids, patches, strict=True):
        s1 = patch.s1.astype(np.float32)
        if (season, scene, patch_id) == _BROKEN:
            s1[:] = np.nan
        lc = patch.lc if labels == 'modis' else with_lccs(truth_as_igbp(patch.truth[0]))
        for kind, image in {'s1': s1, 's2': patch.s2, 'lc': lc}.items():
            name = f'{season}_{kind}_{scene}_p{patch_id}.tif'
            patch.write(root / season / f'{kind}_{scene}' / name, image)

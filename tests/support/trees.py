"""Tiny trees of constant rasters in the layouts of the facts, for tests of datasets."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

#: Type and value of each band by kind of file, as in the published data: band i of
#: Sentinel-2 holds i, of Sentinel-1 -i; the second to fourth band of lc is no IGBP code.
CONTENT: dict[str, tuple[str, Sequence[float]]] = {
    's1': ('float32', (-1, -2)),
    's2': ('uint16', range(1, 14)),
    'lc': ('uint8', (12, 101, 102, 103)),
    'dfc': ('int32', (6,)),
}

#: What each band's file holds.
VALUES = {
    **{f'B{i:02}': i for i in range(1, 9)},
    'B8A': 9,
    'B09': 10,
    'B10': 11,
    'B11': 12,
    'B12': 13,
    'VV': -1,
    'VH': -2,
}


def write(
    path: Path,
    kind: str,
    dtype: str | None = None,
    values: Sequence[float] | None = None,
    shape: tuple[int, int] = (7, 5),
    **profile: Any,
) -> Path:
    """Write a raster whose bands are constant, and its folders."""
    dtype = dtype or CONTENT[kind][0]
    values = CONTENT[kind][1] if values is None else values
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        'driver': 'GTiff',
        'count': len(values),
        'height': shape[0],
        'width': shape[1],
        'dtype': dtype,
        'crs': 'EPSG:32633',
        'transform': from_origin(500_000, 5_000_000, 10, 10),
        **profile,
    }
    with rasterio.open(path, 'w', **profile) as raster:
        raster.write(np.stack([np.full(shape, value, dtype) for value in values]))
    return path


def write_sen12ms(
    root: Path,
    patches: Iterable[str] = ('spring_1_p1', 'spring_1_p2', 'summer_1_p1'),
    holdout: Iterable[str] | None = ('ROIs1868_summer/s1_1',),
    **shape: Any,
) -> Path:
    """Write patches named SEASON_SCENE_PATCH and, if given, the list of scenes."""
    for season, scene, patch in (name.split('_') for name in patches):
        folder = root / sen12ms_season(season)
        for kind in ('s1', 's2', 'lc'):
            name = f'{folder.name}_{kind}_{scene}_{patch}.tif'
            write(folder / f'{kind}_{scene}' / name, kind, **shape)
    if holdout is not None:
        (root / 'SEN12MS_holdOutScenes.txt').write_text('\n'.join(holdout) + '\n')
    return root


def sen12ms_season(season: str) -> str:
    numbers = {'spring': 1158, 'summer': 1868, 'fall': 1970, 'winter': 2017}
    return f'ROIs{numbers[season]}_{season}'


def write_phase(
    root: Path, folder: str, phase: str = 'validation', num: int = 2
) -> Path:
    """Write patches of a phase; *folder* has {kind} in it."""
    for kind in ('s1', 's2', 'dfc'):
        for i in range(num):
            name = f'ROIs0000_{phase}_{kind}_0_p{i}.tif'
            write(root / folder.format(kind=kind) / name, kind)
    return root


def write_public(root: Path, patches: Iterable[str]) -> Path:
    """Write patches of DFC_Public_Dataset named SEASON_CITY_PATCH."""
    for season, city, patch in (name.split('_') for name in patches):
        for kind in ('s1', 's2', 'lc', 'dfc'):
            name = f'ROIs0000_{season}_{kind}_{city}_{patch}.tif'
            write(root / f'ROIs0000_{season}' / f'{kind}_{city}' / name, kind)
    return root


def write_copernicus(root: Path, **lists: str) -> Path:
    """Write six patches and the lists of Copernicus-Bench, given by part."""
    write_phase(root, '{kind}', 'test', 6)
    for part, text in lists.items():
        (root / f'dfc-{part}-new.csv').write_text(text)
    return root


def write_unlabeled(root: Path, *names: str) -> Path:
    """Write a pair of images for each name, with {} in it for the sensor."""
    for name in names:
        for kind in ('s1', 's2'):
            write(root / kind / name.format(kind), kind)
    return root

"""Synthetic patches in the layout of DFC2020, unlabelled ones, and whole scenes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..io.rasters import write_image
from .regions import REGIONS
from .scenes import Stream, SyntheticScene, draw_patches, draw_scene

_KINDS = list(REGIONS.values())


def write_dfc2020(
    root: Path | str,
    *,
    seed: int = 0,
    size: int = 256,
    num_val: int = 8,
    num_test: int = 24,
) -> Path:
    """Write synthetic patches in the layout of DFC2020's split archives.

    As in the contest, the labels have neither Savanna nor Snow/Ice, and the files no
    georeferencing. ``s1`` is float64 (dB), ``s2`` uint16 (reflectance x 10 000),
    ``dfc`` int32, ``lc`` uint8.

    Args:
        root: Folder to write to.
        seed: Seed of the data set; equal seeds give equal files.
        size: Height and width of a patch in pixels.
        num_val: Patches of the validation phase.
        num_test: Patches of the test phase.

    Returns:
        The root.

    Examples:
        >>> import tempfile
        >>> root = write_dfc2020(tempfile.mkdtemp(), size=16, num_val=1, num_test=0)
        >>> sorted(path.name for path in root.glob('ROIs0000_validation/*/*.tif'))
        ... # doctest: +NORMALIZE_WHITESPACE
        ['ROIs0000_validation_dfc_0_p0.tif', 'ROIs0000_validation_lc_0_p0.tif',
         'ROIs0000_validation_s1_0_p0.tif', 'ROIs0000_validation_s2_0_p0.tif']
    """
    root = Path(root)
    for number, (season, folder, count) in enumerate(
        [('validation', 'validation', num_val), ('test', '0', num_test)]
    ):
        rng = np.random.default_rng([seed, Stream.DFC2020, number])
        for patch_id, patch in enumerate(_draw_contest(size, count, rng)):
            images = {
                's1': patch.s1,
                's2': patch.s2,
                'lc': patch.lc,
                'dfc': patch.truth.astype(np.int32),
            }
            for kind, image in images.items():
                path = root / f'ROIs0000_{season}' / f'{kind}_{folder}'
                path.mkdir(parents=True, exist_ok=True)
                name = f'ROIs0000_{season}_{kind}_0_p{patch_id}.tif'
                write_image(path / name, image)
    return root


def write_unlabeled(
    root: Path | str,
    *,
    seed: int = 0,
    size: int = 256,
    num_patches: int = 4,
    truth_root: Path | str | None = None,
) -> Path:
    """Write synthetic georeferenced patches without labels, in two UTM zones.

    Args:
        root: Folder to write to.
        seed: Seed of the data set; equal seeds give equal files.
        size: Height and width of a patch in pixels.
        num_patches: Number of patches.
        truth_root: Folder for the labels at 10 m (DFC2020 codes, uint8); without one
            they are not written.

    Returns:
        The root, with the folders ``s1`` and ``s2``.
    """
    root = Path(root)
    areas = [('north', 'coast', 0.8), ('south', 'lowland', 0.4)]
    for number, (name, region, growth) in enumerate(areas):
        count = (num_patches + 1 - number) // 2
        if not count:
            continue
        rng = np.random.default_rng([seed, Stream.UNLABELED, number])
        patches = draw_patches(
            REGIONS[region], size, count, growth, rng, north=name == 'north'
        )
        for patch_id, patch in enumerate(patches, 1):
            images = {'s1': patch.s1.astype(np.float32), 's2': patch.s2}
            folders = {kind: root / kind for kind in images}
            if truth_root is not None:
                images['dfc'] = patch.truth
                folders['dfc'] = Path(truth_root)
            for kind, image in images.items():
                path = folders[kind] / f'{name}_{kind}_{patch_id:03}.tif'
                patch.write(path, image)
    return root


@dataclass(frozen=True, slots=True)
class SceneFiles:
    """Files of a synthetic scene.

    Attributes:
        s2: Sentinel-2, 13 bands, reflectance x 10 000, uint16.
        s1: Sentinel-1, VV and VH, sigma nought in dB, float32.
        labels: Labels at 10 m in DFC2020 codes, uint8.
    """

    s2: Path
    s1: Path
    labels: Path


def write_scene(
    root: Path | str,
    name: str = 'scene',
    *,
    seed: int = 0,
    shape: tuple[int, int] = (512, 512),
    region: str = 'lowland',
    north: bool = True,
) -> SceneFiles:
    """Write a synthetic scene in a random UTM zone, its corner not on a whole metre.

    Args:
        root: Folder in which the folders ``s2``, ``s1`` and ``labels`` are made.
        name: Stem of the file names.
        seed: Seed of the scene; equal seeds give equal files.
        shape: Height and width in pixels of 10 m.
        region: Kind of landscape, one of
            :data:`~dfc2020_geo.synthetic.regions.REGIONS`.
        north: Whether it lies north of the equator.

    Returns:
        Paths of the files.

    Raises:
        ValueError: If *region* is unknown.

    Examples:
        >>> import tempfile, rasterio
        >>> files = write_scene(tempfile.mkdtemp(), shape=(40, 60))
        >>> with rasterio.open(files.s2) as raster:
        ...     raster.count, raster.shape, raster.res
        (13, (40, 60), (10.0, 10.0))
    """
    if region not in REGIONS:
        raise ValueError(f"Expected a region of {tuple(REGIONS)}, got '{region}'.")
    rng = np.random.default_rng([seed, Stream.SCENE])
    scene = draw_scene(REGIONS[region], shape, 0.6, rng, north)
    images = {'s2': scene.s2, 's1': scene.s1.astype(np.float32), 'labels': scene.truth}
    paths = {kind: Path(root) / kind / f'{name}_{kind}_{seed}.tif' for kind in images}
    for kind, path in paths.items():
        scene.write(path, images[kind])
    return SceneFiles(**paths)


def _draw_contest(
    size: int, count: int, rng: np.random.Generator
) -> list[SyntheticScene]:
    """Draw patches of all kinds of landscape in turn, up to four of one scene."""
    per_scene = min(4, -(-count // len(_KINDS)))
    patches: list[SyntheticScene] = []
    for order in range(-(-count // per_scene) if count else 0):
        kind = _KINDS[order % len(_KINDS)]
        growth = rng.uniform(-0.2, 1)
        patches += draw_patches(kind, size, per_scene, growth, rng)
    return patches[:count]

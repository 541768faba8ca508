"""Made-up scenes: whole rasters of images and of the truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .regions import REGIONS
from .scenes import draw_scene, write_georeferenced

#: Third number of every seed, so that no scene is like another data set.
_STREAM = 3


@dataclass(frozen=True, slots=True)
class SceneFiles:
    """The rasters of a scene.

    Attributes:
        s2: Sentinel-2, 13 bands, uint16.
        s1: Sentinel-1, VV and VH in dB, float32.
        labels: The truth in DFC2020 codes, uint8.
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
    """Write a scene somewhere in a UTM zone, its corner not on a whole metre.

    Args:
        root: Folder in which the folders ``s2``, ``s1`` and ``labels`` are made.
        name: What the names of its files begin with.
        seed: Number of the scene; equal numbers give equal files.
        shape: Height and width in pixels of 10 m.
        region: What kind of country it shows, one of
            :data:`~dfc2020_geo.synthetic.regions.REGIONS`.
        north: Whether it lies north of the equator.

    Returns:
        The files.

    Raises:
        ValueError: If *region* is unknown.
    """
    if region not in REGIONS:
        raise ValueError(f"Expected a region of {tuple(REGIONS)}, got '{region}'.")
    rng = np.random.default_rng([seed, _STREAM])
    scene = draw_scene(REGIONS[region], shape, 0.6, rng, north)
    images = {'s2': scene.s2, 's1': scene.s1.astype(np.float32), 'labels': scene.truth}
    paths = {kind: Path(root) / kind / f'{name}_{kind}_{seed}.tif' for kind in images}
    for kind, path in paths.items():
        write_georeferenced(path, images[kind], scene)
    return SceneFiles(**paths)

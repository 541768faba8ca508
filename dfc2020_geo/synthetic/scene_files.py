"""Synthetic scenes: georeferenced rasters of Sentinel-1, Sentinel-2 and labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .regions import REGIONS
from .scenes import draw_scene, write_georeferenced

#: Added to every seed, so that scenes differ from the other data sets.
_STREAM = 3


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
    rng = np.random.default_rng([seed, _STREAM])
    scene = draw_scene(REGIONS[region], shape, 0.6, rng, north)
    images = {'s2': scene.s2, 's1': scene.s1.astype(np.float32), 'labels': scene.truth}
    paths = {kind: Path(root) / kind / f'{name}_{kind}_{seed}.tif' for kind in images}
    for kind, path in paths.items():
        write_georeferenced(path, images[kind], scene)
    return SceneFiles(**paths)

"""Synthetic scenes in memory: images, labels, georeferencing, and patches of them."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from rasterio import Affine

from ..io.rasters import write_image
from .labels import draw_modis_labels, with_lccs
from .landscape import draw_landscape
from .regions import Region
from .signals import draw_date, render_s1, render_s2


class Stream(IntEnum):
    """Added to every seed, so that no two data sets are alike."""

    SEN12MS = 0
    DFC2020 = 1
    UNLABELED = 2
    SCENE = 3


#: Edge of a pixel in metres.
RES = 10


@dataclass(frozen=True, slots=True)
class SyntheticScene:
    """Images and labels of an area on one date; a patch of it is a smaller scene.

    Attributes:
        s1: Sigma nought in dB, VV and VH, of shape ``(2, H, W)``, float64.
        s2: Reflectance x 10 000 of shape ``(13, H, W)``, uint16.
        lc: Coarse labels: IGBP and three LCCS layers, of shape ``(4, H, W)``, uint8.
        truth: Labels at 10 m: DFC2020 codes of shape ``(1, H, W)``, uint8.
        crs: EPSG code of a UTM zone, such as ``'EPSG:32632'``.
        origin: Easting and northing of the upper left corner in metres.
    """

    s1: np.ndarray
    s2: np.ndarray
    lc: np.ndarray
    truth: np.ndarray
    crs: str
    origin: tuple[float, float]

    def write(self, path: Path, image: np.ndarray) -> None:
        """Write an image of the area as GeoTIFF, with CRS and geotransform.

        Args:
            path: File to write; its folder is made.
            image: Array of shape ``(bands, H, W)``.
        """
        x, y = self.origin
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, image, self.crs, Affine(RES, 0, x, 0, -RES, y))


def draw_scene(
    region: Region,
    shape: tuple[int, int],
    growth: float,
    rng: np.random.Generator,
    north: bool = True,
) -> SyntheticScene:
    """Draw a scene in a random UTM zone, its corner not on a whole metre.

    Args:
        region: Kind of landscape.
        shape: Height and width in pixels of 10 m.
        growth: Growth of vegetation, from -1 (winter) to 1 (summer).
        rng: Random generator.
        north: Whether it lies north of the equator.

    Returns:
        The scene.
    """
    landscape = draw_landscape(region, shape, rng)
    date = draw_date(growth, rng)
    zone = int(rng.integers(1, 61))
    return SyntheticScene(
        s1=render_s1(landscape, date, rng),
        s2=render_s2(landscape, date, rng),
        lc=with_lccs(draw_modis_labels(landscape.codes, rng)),
        truth=landscape.codes[None],
        crs=f'EPSG:{(32600 if north else 32700) + zone}',
        origin=(rng.uniform(2e5, 7e5), rng.uniform(2e6, 7e6)),
    )


def draw_patches(
    region: Region,
    size: int,
    count: int,
    growth: float,
    rng: np.random.Generator,
    north: bool = True,
) -> list[SyntheticScene]:
    """Draw a scene and cut patches that lie side by side in it.

    Args:
        region: Kind of landscape.
        size: Height and width of a patch in pixels.
        count: Number of patches.
        growth: Growth of vegetation, from -1 (winter) to 1 (summer).
        rng: Random generator.
        north: Whether it lies north of the equator.

    Returns:
        The patches.
    """
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    scene = draw_scene(region, (rows * size, columns * size), growth, rng, north)
    x, y = scene.origin
    patches = []
    for row, column in list(np.ndindex(rows, columns))[:count]:
        top, left = row * size, column * size
        window = (..., slice(top, top + size), slice(left, left + size))
        images = (scene.s1, scene.s2, scene.lc, scene.truth)
        patches.append(
            SyntheticScene(
                *(image[window] for image in images),
                scene.crs,
                (x + RES * left, y - RES * top),
            )
        )
    return patches

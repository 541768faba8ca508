"""What the values of 13 bands say against the order of SEN12MS."""

from pathlib import Path

import numpy as np
import pytest

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.datasets import Sentinel2Scenes
from dfc2020_geo.io.scenes import open_scene
from dfc2020_geo.io.scenes.evidence import contradict_order
from tests.support.scene_files import noise, write

S2 = BAND_SETS['s2']

#: Reflectance x 10 000 at the top of the atmosphere, of 13 bands.
SURFACES = {
    'meadow': [1400, 1100, 950, 800, 1100, 2100, 2500, 2600, 2800, 900, 20, 1900, 1200],
    'lake': [1300, 1000, 700, 450, 380, 330, 330, 300, 230, 120, 10, 60, 40],
    'snow': [9000, 9200, 8900, 9000, 9000, 8800, 8700, 8600, 8400, 4000, 60, 900, 700],
    'dunes': [
        2200,
        2300,
        2900,
        3800,
        4000,
        4200,
        4400,
        4300,
        4500,
        1700,
        30,
        5200,
        4600,
    ],
    'cirrus': [
        3000,
        2900,
        2800,
        2700,
        2800,
        3300,
        3600,
        3500,
        3700,
        2200,
        900,
        2400,
        1700,
    ],
    'plateau': [
        2000,
        1900,
        2100,
        2400,
        2500,
        2600,
        2700,
        2700,
        2800,
        2000,
        500,
        3000,
        2600,
    ],
}


def draw(surface: str, side: int = 40) -> np.ndarray:
    """An image of a surface, of shape ``(13, side, side)``."""
    rng = np.random.default_rng(0)
    light = rng.normal(1, 0.1, (side, side))
    image = np.array(SURFACES[surface])[:, None, None] * light
    image *= rng.normal(1, 0.04, image.shape)
    return image.clip(1).round().astype(np.uint16)


def reorder(image: np.ndarray, names: str) -> np.ndarray:
    return image[[S2.index(name) for name in names.split()]]


def flat(image: np.ndarray) -> np.ndarray:
    return image.reshape(len(image), -1).astype(float)


BY_SURFACE = pytest.mark.parametrize('surface', SURFACES)
LEVEL_2A = 'B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12'
ORDERS = {
    'names of files': ' '.join(sorted(S2)),
    'finest first': 'B02 B03 B04 B08 B05 B06 B07 B8A B11 B12 B01 B09 B10',
    'B1, B10, B11': 'B01 B10 B11 B12 B02 B03 B04 B05 B06 B07 B08 B8A B09',
    'backwards': ' '.join(S2[::-1]),
}


@BY_SURFACE
@pytest.mark.parametrize('offset', [0, 1000])
def test_the_order_of_sen12ms_is_taken(surface: str, offset: int) -> None:
    image = flat(draw(surface)) + offset
    assert contradict_order(image) == []
    image[10] = 0  # filled in
    assert contradict_order(image) == []


@BY_SURFACE
@pytest.mark.parametrize('offset', [0, 1000])
@pytest.mark.parametrize('order', ORDERS)
def test_other_orders_are_not(surface: str, offset: int, order: str) -> None:
    image = flat(reorder(draw(surface), ORDERS[order])) + offset
    assert contradict_order(image) != []


@BY_SURFACE
@pytest.mark.parametrize('last', ['classes', 'mask', 'ones', 'classes first'])
def test_level_2a_and_a_band_of_classes_is_not(surface: str, last: str) -> None:
    image = draw(surface)
    image[9] = image[8] + 20  # the atmosphere is removed
    bands = reorder(image, LEVEL_2A)
    rng = np.random.default_rng(0)
    extra = {
        'mask': 255 * rng.integers(0, 2, (1, 40, 40)),
        'ones': np.ones((1, 40, 40)),
    }.get(last, rng.integers(3, 9, (1, 40, 40)))
    parts = [extra, bands] if last == 'classes first' else [bands, extra]
    assert contradict_order(flat(np.concatenate(parts))) != []


def test_what_has_no_structure_says_nothing() -> None:
    assert contradict_order(flat(noise(13, 50, 50))) == []
    assert contradict_order(np.ones((13, 500))) == []
    assert contradict_order(np.arange(13.0)[:, None].repeat(500, 1)) == []
    assert contradict_order(flat(noise(12, 50, 50))) == []


@pytest.mark.parametrize('order', ['names of files', 'finest first'])
def test_a_stack_in_another_order_is_refused_by_every_reader(
    tmp_path: Path, order: str
) -> None:
    image = reorder(draw('meadow'), ORDERS[order])
    path = write(tmp_path / 'stack.tif', image)
    match = r'stack\.tif, got values that contradict it: band \d+ .*--s2_bands'
    with pytest.raises(RuntimeError, match=match) as caught:
        open_scene(path, bands=['s2'])
    with pytest.raises(RuntimeError, match=match):
        Sentinel2Scenes(path)
    names = ORDERS[order].split()
    assert (','.join(names) in str(caught.value)) == (order == 'names of files')
    scene = open_scene(path, bands=['s2'], s2_bands=names)
    assert np.array_equal(scene.read((0, 40), (0, 40))[0], draw('meadow'))
    told = write(tmp_path / 'told.tif', image, descriptions=names)
    assert np.array_equal(
        open_scene(told, bands=['s2']).read((0, 40), (0, 40))[0], draw('meadow')
    )

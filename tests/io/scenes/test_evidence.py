"""What the values of 13 bands say against the order of SEN12MS."""

from pathlib import Path

import numpy as np
import pytest

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.datasets import Sentinel2Scenes
from dfc2020_geo.io.scenes import open_scene
from dfc2020_geo.io.scenes.evidence import contradict_order
from tests.support.scene_files import noise, write
from tests.support.surfaces import SURFACES, draw, reorder

S2 = BAND_SETS['s2']


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
@pytest.mark.parametrize(
    'last', ['classes', 'mask', 'ones', 'full', 'classes first', 'zeros first']
)
def test_level_2a_and_a_band_of_classes_is_not(surface: str, last: str) -> None:
    image = draw(surface)
    image[9] = image[8] + 20  # the atmosphere is removed
    bands = reorder(image, LEVEL_2A)
    rng = np.random.default_rng(0)
    extra = {
        'mask': 255 * rng.integers(0, 2, (1, 40, 40)),
        'ones': np.ones((1, 40, 40)),
        'full': np.full((1, 40, 40), 255),
        'zeros first': np.zeros((1, 40, 40)),
    }.get(last, rng.integers(3, 9, (1, 40, 40)))
    parts = [extra, bands] if 'first' in last else [bands, extra]
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


def test_data_in_a_corner_are_found(tmp_path: Path) -> None:
    image = np.zeros((13, 1000, 900), np.uint16)
    image[:, :40, -40:] = reorder(draw('meadow'), ORDERS['names of files'])
    path = write(tmp_path / 'corner.tif', image, compress='deflate')
    with pytest.raises(RuntimeError, match=r'corner\.tif, got values that contradict'):
        open_scene(path, bands=['s2'])

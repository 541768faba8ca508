"""A class scheme of another legend: nothing beside the scheme knows codes or colours."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyogrio
import pytest
import rasterio
from matplotlib.colors import to_rgb
from rasterio import Affine
from rasterio.crs import CRS

import dfc2020_geo
from dfc2020_geo.classes import IGNORE_INDEX, ClassScheme, LandCover, Legend
from dfc2020_geo.datasets.plotting import plot_patch, render_class_map
from dfc2020_geo.inference.maps import MapRows, finish_map, measure_areas
from dfc2020_geo.inference.maps.stac import find_time
from dfc2020_geo.io.grid import RasterGrid
from dfc2020_geo.io.rasters import write_class_map

BOG = LandCover(0, 'Bog', (1, 2, 3))
FEN = LandCover(21, 'Fen & reed', (250, 0, 10))
DUNE = LandCover(44, 'Dune', (0, 0, 0))
SALT = LandCover(90, 'Salt flat', (9, 99, 199))
COAST = Legend('coast', (BOG, FEN, DUNE, SALT), nodata=255)
#: Tells three of the four classes apart, in another order than their codes'.
SCHEME = ClassScheme('coast-no-dune', (SALT, BOG, FEN), COAST)

INDICES = np.array([[0, 1, 2, IGNORE_INDEX], [2, 2, 1, 0]], np.uint8)
CODES = np.array([[90, 0, 21, 255], [21, 21, 0, 90]], np.uint8)
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM = CRS.from_epsg(32632)


def _check(path: Path) -> None:
    with rasterio.open(path) as raster:
        assert np.array_equal(raster.read(1), CODES)
        assert raster.nodata == 255
        assert raster.tags()['classes'] == json.dumps(
            {0: 'Bog', 21: 'Fen & reed', 44: 'Dune', 90: 'Salt flat'}
        )
        palette = raster.colormap(1)
    for land_cover in COAST.classes:
        assert palette[land_cover.code] == (*land_cover.color, 255)
    names = [c.text or '' for c in ET.parse(f'{path}.aux.xml').iter('Category')]
    assert {i: name for i, name in enumerate(names) if name} == COAST.names


def test_indices_become_its_codes_and_return() -> None:
    assert np.array_equal(SCHEME.decode(INDICES), CODES)
    assert np.array_equal(SCHEME.encode(CODES, 'coast'), INDICES)
    assert SCHEME.encode(np.array([44]), 'coast').tolist() == [IGNORE_INDEX]
    with pytest.raises(ValueError, match=r'coast codes .* got \[22\]'):
        SCHEME.encode(np.array([22]), 'coast')
    with pytest.raises(ValueError, match=r"'coast' .* 'coast-no-dune', got 'igbp'"):
        SCHEME.encode(CODES, 'igbp')


def test_every_code_can_be_a_class() -> None:
    classes = tuple(LandCover(code, str(code), (code,) * 3) for code in range(1, 256))
    scheme = ClassScheme('many', classes[:250], Legend('many', classes, nodata=0))
    codes = np.arange(1, 251, dtype=np.uint8)
    assert np.array_equal(scheme.decode(scheme.encode(codes, 'many')), codes)
    assert scheme.encode(np.array([251, 254, 255, 0]), 'many').tolist() == [255] * 4


def test_class_maps_have_its_codes_colours_and_names(tmp_path: Path) -> None:
    grid = RasterGrid(UTM, PLACE, 2, 4)
    write_class_map(tmp_path / 'patch.tif', SCHEME.decode(INDICES), grid, SCHEME)
    _check(tmp_path / 'patch.tif')


def test_maps_of_scenes_have_its_codes_colours_and_names(tmp_path: Path) -> None:
    grid = RasterGrid(UTM, PLACE, 2, 4)
    parts = MapRows(tmp_path / 'map.tif', grid, SCHEME, [], {})
    parts.directory.mkdir()
    parts.write(0, 2, {'classes': SCHEME.decode(INDICES)})
    taken = find_time([], {'ACQUISITIONDATETIME': '2020-01-01T00:00:00Z'})
    finish_map(parts, {}, taken, polygons=True)
    _check(tmp_path / 'map.tif')
    areas = {0: 0.02, 21: 0.03, 90: 0.02}
    assert measure_areas(tmp_path / 'map.tif', SCHEME) == pytest.approx(areas)
    polygons = pyogrio.read_dataframe(tmp_path / 'map.gpkg', layer='polygons')
    named = dict(zip(polygons['code'], polygons['name'], strict=True))
    assert named == {0: 'Bog', 21: 'Fen & reed', 90: 'Salt flat'}
    style = ET.parse(tmp_path / 'map.qml').iter('paletteEntry')
    assert [(e.attrib['value'], e.attrib['label']) for e in style] == [
        (str(c.code), c.name) for c in SCHEME.classes
    ]


def test_previews_have_its_colours_and_names() -> None:
    colors = np.array([[SALT.color, BOG.color, FEN.color, (0, 0, 0)]])
    assert np.array_equal(render_class_map(INDICES[:1], SCHEME), colors)
    (legend,) = plot_patch(None, {'Mask': INDICES}, SCHEME).legends
    shown = {
        text.get_text(): patch.get_facecolor()
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    assert list(shown) == ['Salt flat', 'Bog', 'Fen & reed', 'No data']
    assert to_rgb(shown['Salt flat']) == pytest.approx(np.array(SALT.color) / 255)


def test_only_the_scheme_knows_the_contests_legend() -> None:
    package = Path(dfc2020_geo.__file__).parent
    naming = {
        path.relative_to(package).parts[0]
        for path in package.rglob('*.py')
        if re.search(r'\bDFC2020_(CLASSES|LEGEND)\b', path.read_text('utf-8'))
    }
    assert naming <= {'classes.py', 'synthetic', 'baseline'}

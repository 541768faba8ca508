import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pystac
import pytest
import rasterio
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from rasterio.crs import CRS
from rasterio.transform import xy
from rasterio.warp import transform
from rio_cogeo import cog_validate

from dfc2020_geo.classes import DFC2020_CLASSES
from dfc2020_geo.inference.maps import find_layer, finish_map
from dfc2020_geo.inference.maps.finish import write_cog
from dfc2020_geo.inference.maps.stac import FIRST_LAUNCH, find_time
from dfc2020_geo.io.grid import RasterGrid
from tests.support import ROOT
from tests.support.map_rows import GRIDS, SCHEME, begin, make_layers, write_rows

TAKEN = find_time(['S2A_MSIL1C_20200607T101031_N0500.SAFE'], {})
TAGS = {'checkpoint': 'abc', 'bands': 'B02 B03'}


def write_map(
    folder: Path,
    grid: RasterGrid,
    seed: int = 0,
    step: int = 13,
    polygons: bool = False,
) -> dict[str, np.ndarray]:
    layers = make_layers(grid, seed)
    map_rows = begin(folder / 'map.tif', grid)
    write_rows(map_rows, layers, step)
    finish_map(map_rows, TAGS, TAKEN, polygons)
    return layers


def hash_files(folder: Path) -> dict[str, str]:
    files = (path for path in folder.iterdir() if path.is_file())
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize('name', GRIDS)
def test_a_map_is_what_was_written(tmp_path: Path, name: str) -> None:
    layers, grid = write_map(tmp_path, GRIDS[name]), GRIDS[name]
    names = {'classes': 'map.tif'} | {
        n: f'map.{n}.tif' for n in layers if n != 'classes'
    }
    for layer, array in layers.items():
        path = tmp_path / names[layer]
        assert cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as raster:
            np.testing.assert_array_equal(raster.read().reshape(array.shape), array)
            assert raster.transform.almost_equals(grid.transform, 1e-12)
            assert raster.crs == grid.crs
            assert raster.nodata == (0 if layer == 'classes' else 255)
            assert raster.profile['blockxsize'] == raster.profile['blockysize'] == 512
            assert {n: raster.tags()[n] for n in TAGS} == TAGS


def test_a_map_opens_with_its_colours_and_names(tmp_path: Path) -> None:
    write_map(tmp_path, GRIDS['UTM south'])
    with rasterio.open(tmp_path / 'map.tif') as raster:
        palette = raster.colormap(1)
        assert json.loads(raster.tags()['classes'])['7'] == 'Urban/Built-up'
        assert raster.colorinterp[0] == rasterio.enums.ColorInterp.palette
    sidecar = ET.parse(tmp_path / 'map.tif.aux.xml')
    names = [element.text for element in sidecar.iter('Category')]
    for code, land_cover in DFC2020_CLASSES.items():
        assert palette[code] == (*land_cover.color, 255)
        assert names[code] == land_cover.name


def test_fractions_are_shown_from_0_to_1(tmp_path: Path) -> None:
    write_map(tmp_path, GRIDS['rotated'])
    with rasterio.open(tmp_path / 'map.probabilities.tif') as raster:
        assert raster.descriptions == tuple(SCHEME.labels)
        assert raster.scales == (0.004,) * 10
        assert raster.offsets == (0.0,) * 10


@pytest.mark.parametrize('size', [(1100, 600), (600, 1100)], ids=str)
def test_overviews_invent_no_class(tmp_path: Path, size: tuple[int, int]) -> None:
    grid = RasterGrid(GRIDS['UTM north'].crs, GRIDS['UTM north'].transform, *size)
    layers = make_layers(grid)
    codes = np.where(np.isin(layers['classes'], (1, 10)), layers['classes'], 0)
    fractions = np.where(codes[None] == 0, 255, 200).astype(np.uint8)
    for name, array in (('classes', codes[None]), ('confidence', fractions)):
        path = tmp_path / f'{name}.tif'
        write_cog(path, [array], grid, find_layer(name, SCHEME), SCHEME, {})
        with rasterio.open(path) as raster:
            levels = raster.overviews(1)
        assert levels
        for i in range(len(levels)):
            with rasterio.open(path, overview_level=i) as raster:
                assert set(np.unique(raster.read())) == set(np.unique(array))


def test_a_map_without_any_data_is_one(tmp_path: Path) -> None:
    grid = GRIDS['UTM north']
    map_rows = begin(tmp_path / 'map.tif', grid)
    layers = {
        n: np.full_like(a, 0 if n == 'classes' else 255)
        for n, a in make_layers(grid).items()
    }
    write_rows(map_rows, layers)
    finish_map(map_rows, TAGS, TAKEN, polygons=True)
    assert cog_validate(tmp_path / 'map.tif', strict=True)[0]
    with rasterio.open(tmp_path / 'map.tif') as raster:
        assert not raster.read_masks(1).any()


def test_equal_rows_give_equal_files(tmp_path: Path) -> None:
    for name, step in (('a', 13), ('b', 13), ('c', 64)):
        write_map(tmp_path / name, GRIDS['UTM south'], step=step, polygons=True)
        time.sleep(1.1 if name == 'a' else 0)
    a, b, c = (hash_files(tmp_path / name) for name in 'abc')
    assert len(a) == 9
    assert a == b == c


def test_the_map_comes_last_and_the_rows_stay_until_they_are_removed(
    tmp_path: Path,
) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRIDS['UTM north'])
    write_rows(map_rows, make_layers(map_rows.grid))
    files = finish_map(map_rows, TAGS, TAKEN)
    assert files[-1] == tmp_path / 'map.tif'
    before = hash_files(tmp_path)
    assert finish_map(map_rows, TAGS, TAKEN) == files
    assert hash_files(tmp_path) == before
    map_rows.remove()
    assert {*files} == {*tmp_path.iterdir()}


def test_missing_rows_leave_nothing(tmp_path: Path) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRIDS['UTM north'])
    write_rows(map_rows, make_layers(map_rows.grid))
    (map_rows.directory / 'rows_0000065-0000070.confidence').unlink()
    with pytest.raises(RuntimeError, match='up to 65 in'):
        finish_map(map_rows, TAGS, TAKEN)
    assert [*tmp_path.iterdir()] == [map_rows.directory]


@pytest.fixture(scope='module')
def whole_map(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp('whole')
    write_map(folder, GRIDS['UTM south'], polygons=True)
    return hash_files(folder)


#: Makes a map in a folder, where no file may be larger than so many bytes.
PROGRAM = """
import resource, sys
from pathlib import Path
from tests.support.map_rows import GRIDS
from tests.inference.maps.test_finish import write_map
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    write_map(Path(sys.argv[1]), GRIDS['UTM south'], polygons=True)
except OSError as error:
    sys.exit(str(error))
"""


def start(folder: Path, limit: int = -1) -> subprocess.Popen[str]:
    command = [sys.executable, '-c', PROGRAM, str(folder), str(limit)]
    return subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def _exhaustively(*values: float) -> list[Any]:
    return [pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


@pytest.mark.slow
@pytest.mark.parametrize(
    'limit', [50, 115_000, *_exhaustively(60_000, 111_300, 125_000)]
)
def test_a_full_disk_leaves_nothing_that_looks_finished(
    tmp_path: Path, whole_map: dict[str, str], limit: int
) -> None:
    process = start(tmp_path, limit)
    _, message = process.communicate(timeout=100)
    assert process.returncode == 1
    assert 'see to it that there is free space' in message or limit < 2000
    assert {path.name for path in tmp_path.iterdir()} <= {'map.tif.part'}
    write_map(tmp_path, GRIDS['UTM south'], polygons=True)
    assert hash_files(tmp_path) == whole_map


@pytest.mark.slow
@pytest.mark.parametrize('seconds', [0.0, 0.2, *_exhaustively(0.05, 0.5)])
def test_a_killed_run_leaves_nothing_that_looks_finished(
    tmp_path: Path, whole_map: dict[str, str], seconds: float
) -> None:
    process = start(tmp_path)
    while not (tmp_path / 'map.tif.part').exists():
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = hash_files(tmp_path)
    assert left.items() <= whole_map.items()
    assert 'map.tif' not in left or left == whole_map
    if (tmp_path / 'map.tif.part').exists():
        write_map(tmp_path, GRIDS['UTM south'], polygons=True)
    assert hash_files(tmp_path) == whole_map


@pytest.mark.parametrize('name', GRIDS)
def test_an_item_describes_its_map(tmp_path: Path, name: str) -> None:
    grid = GRIDS[name]
    write_map(tmp_path, grid)
    text = json.loads((tmp_path / 'map.json').read_text())
    item = pystac.Item.from_dict(text)
    assert item.to_dict(include_self_link=False) == text
    assert {'type', 'stac_version', 'id', 'geometry', 'bbox', 'links'} <= text.keys()
    assert text['properties']['datetime'] == '2020-06-07T10:10:31Z'
    assert text['properties']['dfc2020_geo:checkpoint'] == 'abc'
    projection = ProjectionExtension.ext(item)
    assert projection.shape == [grid.height, grid.width]
    assert projection.transform == [*grid.transform][:6]
    code = projection.code or projection.wkt2
    assert CRS.from_user_input(code) == grid.crs
    for asset in item.assets.values():
        assert (tmp_path / asset.href).exists()
        assert asset.href.startswith('./')
    classes = ClassificationExtension.ext(item.assets['classes']).classes or []
    found = {c.value: (c.title, c.color_hint) for c in classes if not c.nodata}
    assert found[7] == ('Urban/Built-up', 'A5A5A5')
    assert len(found) == 10
    bands = RasterExtension.ext(item.assets['probabilities']).bands or []
    assert [(b.scale, b.offset, b.nodata) for b in bands] == [(0.004, 0, 255)] * 10


@pytest.mark.parametrize('name', [n for n in GRIDS if n != 'antimeridian'])
def test_a_footprint_goes_round_its_pixels(tmp_path: Path, name: str) -> None:
    grid = GRIDS[name]
    write_map(tmp_path, grid)
    item = json.loads((tmp_path / 'map.json').read_text())
    (ring,) = item['geometry']['coordinates']
    columns, rows = [0, 0, grid.width, grid.width], [0, grid.height, grid.height, 0]
    x, y = xy(grid.transform, rows, columns, offset='ul')
    lon, lat = transform(grid.crs, CRS.from_epsg(4326), x, y)
    for corner in zip(lon, lat, strict=True):
        assert min(np.hypot(*np.subtract(p, corner)) for p in ring) < 2e-7
    west, south, east, north = item['bbox']
    assert west < min(lon) + 1e-6
    assert east > max(lon) - 1e-6
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))
    assert area >= 0, 'counterclockwise, as GeoJSON wants it'
    assert ring[0] == ring[-1]
    assert south < north or grid.height == 1


def test_a_footprint_is_cut_at_the_antimeridian(tmp_path: Path) -> None:
    write_map(tmp_path, GRIDS['antimeridian'])
    item = json.loads((tmp_path / 'map.json').read_text())
    assert item['geometry']['type'] == 'MultiPolygon'
    west, _, east, _ = item['bbox']
    assert 178 < west < 180
    assert -180 < east < -176


def test_styles_are_what_qgis_reads(tmp_path: Path) -> None:
    write_map(tmp_path, GRIDS['UTM north'])
    renderer = ET.parse(tmp_path / 'map.qml').find('pipe/rasterrenderer')
    assert renderer is not None
    assert renderer.attrib['type'] == 'paletted'
    entries = [entry.attrib for entry in renderer.iterfind('colorPalette/paletteEntry')]
    assert {
        'value': '10',
        'color': '#1c0dff',
        'label': 'Water',
        'alpha': '255',
    } in entries
    assert [int(entry['value']) for entry in entries] == list(DFC2020_CLASSES)
    shades = ET.parse(tmp_path / 'map.probabilities.qml').find('pipe/rasterrenderer')
    assert shades is not None
    assert shades.attrib['type'] == 'singlebandpseudocolor'
    items = [float(i.attrib['value']) for i in shades.iter('item')]
    assert items == [0, 0.5, 1]


@pytest.mark.parametrize(
    ('sources', 'tags', 'expected'),
    [
        (['S2B_MSIL2A_20210102T030405_N0500_R1_T32TQM_20210102T070809.SAFE'], {}, 2021),
        (['S1A_IW_GRDH_1SDV_20190607T165031_20190607T165056_x.tif'], {}, 2019),
        (
            ['S2A_OPER_PRD_MSIL1C_PDMC_20160101T1_R8_V20151230T105153_20151230.tif'],
            {},
            2015,
        ),
        (['a/S2A_MSIL1C_20180607T101031_x.SAFE/GRANULE/x/B02.jp2'], {}, 2018),
        (['scene.tif'], {'PRODUCT_START_TIME': '2017-06-07T10:10:31.024Z'}, 2017),
        (['run_20230101T000000/T32TQM_20170607T101031_B02.jp2'], {}, 2017),
    ],
)
def test_the_time_is_the_acquisitions(sources: list, tags: dict, expected: int) -> None:
    moment = find_time(sources, tags)
    assert not isinstance(moment, tuple)
    assert moment is not None
    assert moment.year == expected


def test_an_unknown_time_is_an_interval(tmp_path: Path) -> None:
    scene = tmp_path / '20230101T000000' / 'scene.tif'
    scene.parent.mkdir()
    scene.touch()
    os.utime(scene, (1.7e9, 1.7e9))
    taken = find_time([scene], {'TIFFTAG_DATETIME': '2020:01:01 00:00:00'})
    assert isinstance(taken, tuple)
    assert taken[0] == FIRST_LAUNCH
    assert taken[1].timestamp() == 1.7e9
    map_rows = begin(tmp_path / 'map.tif', GRIDS['UTM north'])
    write_rows(map_rows, make_layers(map_rows.grid))
    finish_map(map_rows, {}, taken)
    properties = json.loads((tmp_path / 'map.json').read_text())['properties']
    assert properties['datetime'] is None
    assert properties['start_datetime'] == '2014-04-03T21:02:26Z'
    assert properties['end_datetime'] == '2023-11-14T22:13:20Z'


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    assert find_time(['/vsicurl/https://example.org/scene.tif'], {}) is None
    map_rows = begin(tmp_path / 'map.tif', GRIDS['UTM north'])
    write_rows(map_rows, make_layers(map_rows.grid))
    finish_map(map_rows, {})
    assert not (tmp_path / 'map.json').exists()


#: Makes a COG of ten bands from rows that it makes on the way; prints the memory.
#: GDAL's cache fills up first, so both heights have to be well above that.
MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from tests.support.map_rows import GRIDS, SCHEME
from dataclasses import replace
from dfc2020_geo.inference.maps import find_layer
from dfc2020_geo.inference.maps.finish import write_cog
size = int(sys.argv[2])
grid = replace(GRIDS['UTM north'], height=size, width=2048)
peak = lambda: int(re.findall('VmHWM: *(.*) kB', STATUS.read_text())[0])
STATUS = Path('/proc/self/status')
before = peak()
rows = (np.full((10, 64, 2048), i % 250, np.uint8) for i in range(size // 64))
write_cog(Path(sys.argv[1]), rows, grid, find_layer('probabilities', SCHEME), SCHEME, {})
print(peak() - before)
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(sys.platform != 'linux', reason='asks the kernel for the peak')
def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    peaks = []
    for height in (12288, 24576):  # GDAL fills what it keeps until about 10 000 rows
        command = [sys.executable, '-c', MEASURE, str(tmp_path / 'x.tif'), str(height)]
        run = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {'GDAL_CACHEMAX': '32'},  # MiB
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(run.stdout))
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 300 * 1024

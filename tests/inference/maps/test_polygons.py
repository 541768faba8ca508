from pathlib import Path

import numpy as np
import pyogrio
import pytest
from pyproj import Geod
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.transform import xy
from rasterio.warp import transform
from scipy import ndimage

from dfc2020_geo.inference.maps import find_layer, measure_areas, write_polygons
from dfc2020_geo.inference.maps.finish import write_cog
from dfc2020_geo.io.grid import RasterGrid
from tests.support.map_rows import GRIDS, SCHEME, make_layers

MERCATOR = RasterGrid(CRS.from_epsg(3857), Affine(20, 0, 1e6, 0, -20, 8e6), 40, 30)
FEET = RasterGrid(CRS.from_epsg(2263), Affine(33, 0, 9e5, 0, -33, 2e5), 40, 30)


def write(folder: Path, grid: RasterGrid, codes: np.ndarray) -> Path:
    path, layer = folder / 'map.tif', find_layer('classes', SCHEME)
    write_cog(path, [codes[None]], grid, layer, SCHEME, {})
    return path


def geodesic_area(grid: RasterGrid, row: int) -> float:
    """The area of the first pixel of a row, with sides in many pieces, in hectares."""
    steps = np.linspace(0, 1, 50)
    columns = np.concatenate([0 * steps, steps, 0 * steps + 1, 1 - steps])
    rows = np.concatenate([steps, 0 * steps + 1, 1 - steps, 0 * steps]) + row
    x, y = xy(grid.transform, rows, columns, offset='ul')
    lon, lat = transform(grid.crs, CRS.from_epsg(4326), x, y)
    return abs(Geod(ellps='WGS84').polygon_area_perimeter(lon, lat)[0]) / 10_000


@pytest.mark.parametrize('name', ['UTM north', 'UTM south', 'rotated', 'south up'])
def test_areas_are_pixels_times_their_area(tmp_path: Path, name: str) -> None:
    grid = GRIDS[name]
    codes = make_layers(grid)['classes']
    path = write(tmp_path, grid, codes)
    write_polygons(path, tmp_path / 'map.gpkg', SCHEME)
    pixel = abs(grid.transform.determinant) / 10_000
    expected = {c: n * pixel for c in range(1, 11) if (n := (codes == c).sum())}
    assert measure_areas(path, SCHEME) == pytest.approx(expected, rel=1e-12)
    polygons = pyogrio.read_dataframe(tmp_path / 'map.gpkg', layer='polygons')
    assert polygons.groupby('code').area_ha.sum().to_dict() == pytest.approx(expected)
    areas = pyogrio.read_dataframe(tmp_path / 'map.gpkg', layer='areas')
    assert dict(zip(areas.code, areas.area_ha, strict=True)) == pytest.approx(expected)
    assert areas.name.tolist() == [SCHEME.classes[c - 1].name for c in expected]


@pytest.mark.parametrize('grid', [GRIDS['degrees'], MERCATOR, FEET], ids=str)
def test_areas_are_those_on_the_earth(tmp_path: Path, grid: RasterGrid) -> None:
    codes = make_layers(grid)['classes']
    path = write(tmp_path, grid, codes)
    pixels = np.array([geodesic_area(grid, row) for row in range(grid.height)])
    tolerance = 0.002 if grid is FEET else 1e-6
    expected = {
        c: float(pixels @ n)
        for c in range(1, 11)
        if (n := (codes == c).sum(axis=1)).any()
    }
    assert measure_areas(path, SCHEME) == pytest.approx(expected, rel=tolerance)
    write_polygons(path, tmp_path / 'map.gpkg', SCHEME)
    polygons = pyogrio.read_dataframe(tmp_path / 'map.gpkg', layer='polygons')
    sums = polygons.groupby('code').area_ha.sum().to_dict()
    assert sums == pytest.approx(measure_areas(path, SCHEME), rel=1e-9)


def test_a_polygon_is_a_patch_of_one_class(tmp_path: Path) -> None:
    grid = GRIDS['UTM north']
    codes = make_layers(grid)['classes']
    codes[20:60, 10:50], codes[30:40, 20:30] = 3, 5
    write_polygons(write(tmp_path, grid, codes), tmp_path / 'map.gpkg', SCHEME)
    polygons = pyogrio.read_dataframe(tmp_path / 'map.gpkg', layer='polygons')
    for code in range(1, 11):
        number = ndimage.label(codes == code)[1]
        assert (polygons.code == code).sum() == number
    assert polygons.crs == grid.crs.to_wkt()
    assert polygons.is_valid.all()
    assert set(polygons.geom_type) == {'Polygon'}
    largest = polygons.loc[polygons.area_ha.idxmax()]
    assert largest['name'] == 'Savanna'
    assert largest.geometry.interiors


def test_nothing_is_written_of_a_map_that_is_damaged(tmp_path: Path) -> None:
    grid = RasterGrid(GRIDS['UTM north'].crs, GRIDS['UTM north'].transform, 1200, 1200)
    codes = np.random.default_rng(0).integers(1, 11, (1200, 1200)).astype(np.uint8)
    path = write(tmp_path, grid, codes)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(RuntimeError, match=r'damaged or missing one: .*map\.tif'):
        write_polygons(path, tmp_path / 'map.gpkg', SCHEME)
    assert {p.name for p in tmp_path.iterdir()} == {'map.tif', 'map.tif.aux.xml'}

"""Files that hold several images, images in pieces, and archives of products."""

import os
import shutil
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.shutil import copy  # ty: ignore[import-not-found] (compiled)
from scipy.io import netcdf_file

from dfc2020_geo.inference import SceneDataModule
from dfc2020_geo.inference.find_scenes import find_scenes
from dfc2020_geo.io.scenes import open_scene
from tests.support.safe_products import write_l1c
from tests.support.scene_files import ORIGIN, UTM32, noise, place, write

NAMES = ['B02', 'B03', 'B04', 'B08']
IMAGE = noise(4, 40, 60)


def read(named: object) -> np.ndarray:
    """The image of the only scene that is found."""
    [found] = find_scenes(named)
    scene = open_scene(found.s2, bands=NAMES)
    image, valid = scene.read((0, scene.grid.height), (0, scene.grid.width))
    assert valid.all()
    return image


def zip_folder(folder: Path, target: Path, inside: str) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, 'w') as archive:
        for file in sorted(folder.rglob('*')):
            if file.is_file():
                archive.write(file, f'{inside}/{file.relative_to(folder)}')
    return target


def write_pieces(folder: Path, image: np.ndarray = IMAGE) -> list[Path]:
    return [
        write(
            folder / f'lake-{row:010}-{column:010}.tif',
            image[:, row : row + 24, column : column + 32],
            transform=place() @ Affine.translation(column, row),
            descriptions=NAMES,
        )
        for row in (0, 24)
        for column in (0, 32)
    ]


def test_products_are_found_in_archives_and_in_folders_of_their_name(
    tmp_path: Path,
) -> None:
    safe = write_l1c(tmp_path / 'plain')
    expected = read(safe)
    name = safe.name.removesuffix('.SAFE')
    zip_folder(safe, tmp_path / 'zips' / f'{name}.zip', safe.name)
    assert np.array_equal(read(tmp_path / 'zips'), expected)
    nested = zip_folder(safe, tmp_path / 'n.zip', f'{safe.name}/{safe.name}')
    assert np.array_equal(read(nested), expected)
    shutil.copytree(safe, tmp_path / 'nested' / safe.name / safe.name)
    assert np.array_equal(read(tmp_path / 'nested'), expected)
    assert np.array_equal(read(tmp_path / 'nested' / safe.name), expected)
    # An archive beside what was extracted of it is the same scene.
    shutil.copy(tmp_path / 'zips' / f'{name}.zip', tmp_path / 'plain')
    assert np.array_equal(read(tmp_path / 'plain'), expected)


def test_pieces_of_earth_engine_are_one_scene(tmp_path: Path) -> None:
    pieces = write_pieces(tmp_path / 'ee')
    [found] = find_scenes(tmp_path / 'ee')
    assert found.name == 'lake'
    assert np.array_equal(read(tmp_path / 'ee'), IMAGE)
    assert np.array_equal(read([str(piece) for piece in pieces]), IMAGE)
    pieces[3].unlink()
    with pytest.raises(RuntimeError, match=r'all pieces .* without .*24-0000000032'):
        read(tmp_path / 'ee')
    assert np.array_equal(read(pieces[0]), IMAGE[:, :24, :32])


def test_a_variable_of_a_netcdf_is_a_band(tmp_path: Path) -> None:
    with netcdf_file(str(tmp_path / 'cube.nc'), 'w') as cube:
        for name, length, start, step in (('y', 40, ORIGIN[1] - 5, -10), ('x', 60, ORIGIN[0] + 5, 10)):  # fmt: skip
            cube.createDimension(name, length)
            axis = cube.createVariable(name, 'f8', (name,))
            axis[:] = start + step * np.arange(length)
            axis.standard_name = f'projection_{name}_coordinate'
        cube.createVariable('crs', 'i4', ()).spatial_ref = CRS.from_string(UTM32).wkt
        for name, plane in zip([*NAMES, 'angle'], [*IMAGE, IMAGE[0]], strict=True):
            variable = cube.createVariable(name, 'i2', ('y', 'x'))
            variable[:] = plane
            variable.grid_mapping = 'crs'
    assert np.array_equal(read(tmp_path / 'cube.nc'), IMAGE)
    assert np.array_equal(read(tmp_path), IMAGE)


def test_bands_of_snap_and_envi_are_read(tmp_path: Path) -> None:
    for name, plane in zip(NAMES, IMAGE, strict=True):
        path = tmp_path / 'snap' / 'sub.data' / f'{name}.tif'
        with_header(write(path, plane[None]), path.with_suffix('.img'))
    (tmp_path / 'snap' / 'sub.dim').write_text('<Dimap_Document/>')
    assert np.array_equal(read(tmp_path / 'snap'), IMAGE)
    assert np.array_equal(read(tmp_path / 'snap' / 'sub.dim'), IMAGE)
    assert np.array_equal(read(tmp_path / 'snap' / 'sub.data'), IMAGE)
    stack = write(tmp_path / 'stack.tif', IMAGE, descriptions=NAMES)
    (tmp_path / 'envi').mkdir()
    with_header(stack, tmp_path / 'envi' / 'scene.dat')
    (tmp_path / 'envi' / 'notes.dat').write_text('no raster')
    assert np.array_equal(read(tmp_path / 'envi'), IMAGE)


def with_header(source: Path, target: Path) -> None:
    """Turn a GeoTIFF into ENVI's format."""
    copy(source, target, driver='ENVI')
    source.unlink()


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='systems without pipes')
def test_a_pipe_and_a_folder_without_rasters_say_what_to_do(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe.tif')
    with pytest.raises(RuntimeError, match='write it to a file first'):
        read(tmp_path / 'pipe.tif')
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'a.hdr').write_text('')
    with pytest.raises(FileNotFoundError, match=r'no rasters there but a\.hdr'):
        read(tmp_path / 'other')


def test_one_bad_product_stops_the_others_only_where_asked(tmp_path: Path) -> None:
    write(tmp_path / 'a.tif', IMAGE, descriptions=NAMES)
    (tmp_path / 'b.tif').write_bytes(b'II*\0 cut off')
    (tmp_path / 'c.zip').write_bytes(b'PK cut off')
    scenes = SceneDataModule(tmp_path, bands=NAMES)
    with pytest.warns(UserWarning, match=r'[bc] is left out: Expected a'):
        scenes.setup('predict')
    assert [scene.name for scene in scenes.predict_dataset.scenes] == ['a']
    assert scenes.left_out.keys() == {'b', 'c'}
    with pytest.raises(RuntimeError, match=r'damaged or missing one: .*b\.tif'):
        SceneDataModule(tmp_path, bands=NAMES, on_error='stop').setup('predict')
    (tmp_path / 'a.tif').unlink()
    with (
        pytest.raises(RuntimeError, match='damaged'),
        pytest.warns(UserWarning, match='b is left out'),
    ):
        SceneDataModule(tmp_path, bands=NAMES).setup('predict')

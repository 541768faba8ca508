"""Products in ESA's layout."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint

from dfc2020_geo.bands import BANDS
from dfc2020_geo.inference.find_scenes import find_scenes
from dfc2020_geo.io.scenes import Scene, open_scene
from dfc2020_geo.io.scenes.metadata import read_name
from tests.support.safe_products import SIDE, TILE, band_image, write_l1c, write_l2a
from tests.support.scene_files import UTM32, decibels, noise, write, write_s1

WHOLE = (0, SIDE)


def expected(scene: Scene, offset: float = -1000) -> np.ndarray:
    images = []
    for name in scene.bands:
        image = band_image(name, BANDS[name].gsd)[0].astype(np.float32)
        factor = SIDE // len(image)
        images.append(image.repeat(factor, 0).repeat(factor, 1))
    return np.array(images) + offset


def pack(safe: Path) -> Path:
    with zipfile.ZipFile(safe.with_suffix('.SAFE.zip'), 'w') as archive:
        for path in sorted(safe.rglob('*')):
            archive.write(path, path.relative_to(safe.parent))
    return Path(str(archive.filename))


def test_level_1c(tmp_path: Path) -> None:
    safe = write_l1c(tmp_path)
    scene = open_scene(safe, bands=['s2'])
    image, valid = scene.read(WHOLE, WHOLE)
    assert np.array_equal(image, expected(scene))
    assert valid.all()
    assert scene.name == safe.stem
    assert scene.grid.crs == rasterio.CRS.from_string(UTM32)
    [note] = [note for note in scene.notes if 'offset' in note]
    assert 'offset -1000, from' in note
    assert 'MTD_MSIL1C.xml (processing baseline 05.10)' in note


@pytest.mark.parametrize('write', [write_l1c, write_l2a])
def test_all_ways_to_name_a_product(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    safe = write(tmp_path)
    archive = pack(safe)
    metadata = next(safe.glob('MTD*.xml'))
    for named in (
        str(safe),
        metadata,
        archive,
        f'/vsizip/{archive}',
        f'/vsizip/{archive}/{safe.name}',
    ):
        scene = open_scene(named, bands=['s2-10m', 's2-20m'])
        image, _ = scene.read(WHOLE, WHOLE)
        assert np.array_equal(image, expected(scene)), named
        assert scene.name == safe.stem
        assert [s.name for s in find_scenes(named)] == [safe.stem]


def test_level_2a_in_its_finest_resolution(tmp_path: Path) -> None:
    scene = open_scene(write_l2a(tmp_path), bands=['s2-10m', 's2-20m', 'B01', 'B09'])
    image, _ = scene.read(WHOLE, WHOLE)
    assert np.array_equal(image, expected(scene))
    assert any('Level-2A, reflectance at the surface' in note for note in scene.notes)


def test_level_2a_has_no_b10(tmp_path: Path) -> None:
    safe = write_l2a(tmp_path)
    with pytest.raises(RuntimeError, match=r'the bands B10 .*Level-2A has no B10'):
        open_scene(safe, bands=['s2'])


def test_each_band_has_its_own_offset(tmp_path: Path) -> None:
    scene = open_scene(write_l1c(tmp_path, lambda i: -100 * i), bands=['s2'])
    image, _ = scene.read(WHOLE, WHOLE)
    offsets = (expected(scene, 0) - image)[:, 3, 4]
    assert offsets.tolist() == [100 * i for i in range(13)]
    assert any('B02 -100, B03 -200' in note for note in scene.notes)


@pytest.mark.parametrize('write', [write_l1c, write_l2a])
def test_older_products_have_no_offset(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    scene = open_scene(write(tmp_path, None), bands=['s2-10m'])
    assert np.array_equal(scene.read(WHOLE, WHOLE)[0], expected(scene, 0))
    assert any('offset 0, from' in note for note in scene.notes)


def test_what_is_given_counts(tmp_path: Path) -> None:
    safe = write_l1c(tmp_path)
    scene = open_scene(safe, bands=['s2-10m'], s2_offset=-50)
    assert np.array_equal(scene.read(WHOLE, WHOLE)[0], expected(scene, -50))
    assert any('offset -50, as given' in note for note in scene.notes)


def test_another_quantification(tmp_path: Path) -> None:
    scene = open_scene(write_l1c(tmp_path, quantification=20000), bands=['s2'])
    assert np.array_equal(scene.read(WHOLE, WHOLE)[0], expected(scene) / 2)
    assert any('multiplied with 0.5' in note for note in scene.notes)


def test_with_sentinel_1(tmp_path: Path) -> None:
    s1 = write_s1(tmp_path / 's1.tif', SIDE, SIDE)
    scene = open_scene(write_l1c(tmp_path), s1, bands=['s2', 's1'])
    image, _ = scene.read(WHOLE, WHOLE)
    assert np.array_equal(image[13:], decibels(SIDE, SIDE))


def test_without_metadata_the_offset_is_asked_for(tmp_path: Path) -> None:
    safe = write_l1c(tmp_path).rename(tmp_path / 'S2B.SAFE')
    (safe / 'MTD_MSIL1C.xml').unlink()
    for path in safe.rglob('*.jp2'):
        path.rename(path.with_name(path.name.replace('T32TNS_20240101T101010_', '')))
    with pytest.raises(FileNotFoundError, match=r'MTD_MSIL1C.* give --s2_offset'):
        open_scene(safe, bands=['s2'])
    scene = open_scene(safe, bands=['s2'], s2_offset=-1000)
    assert np.array_equal(scene.read(WHOLE, WHOLE)[0], expected(scene))


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('<a><b></a>', r'damaged ones in .*MTD_MSIL1C\.xml \(ParseError'),
        ('', r'damaged ones'),
        ('<a><RADIO_ADD_OFFSET band_id="0">x</RADIO_ADD_OFFSET></a>', r'damaged ones'),
        ('<a><RADIO_ADD_OFFSET band_id="99">1</RADIO_ADD_OFFSET></a>', r'damaged ones'),
        ('<a><RADIO_ADD_OFFSET band_id="-1">1</RADIO_ADD_OFFSET></a>', r'damaged ones'),
        ('<a><RADIO_ADD_OFFSET>1</RADIO_ADD_OFFSET></a>', r'damaged ones'),
        ('<a><QUANTIFICATION_VALUE>0</QUANTIFICATION_VALUE></a>', r'damaged ones'),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', r'with a document type'),
        ('<a>' + ' ' * 17 * 2**20 + '</a>', r'of more than'),
    ],
)
def test_metadata_that_cannot_be_read(tmp_path: Path, text: str, match: str) -> None:
    safe = write_l1c(tmp_path)
    (safe / 'MTD_MSIL1C.xml').write_text(text)
    with pytest.raises(RuntimeError, match=match):
        open_scene(safe, bands=['s2'])


def test_an_offset_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    safe = write_l1c(tmp_path, lambda i: -1000 if i < 12 else None)
    with pytest.raises(RuntimeError, match=r'got none of B12; give it as --s2_offset'):
        open_scene(safe, bands=['s2'])
    open_scene(safe, bands=['s2-10m'])


def test_a_product_of_several_granules(tmp_path: Path) -> None:
    safe = write_l1c(tmp_path)
    shutil.copytree(next((safe / 'GRANULE').iterdir()), safe / 'GRANULE' / 'OTHER')
    with pytest.raises(RuntimeError, match=r'one granule .*L1C_T32TNS\S+, OTHER'):
        open_scene(safe, bands=['s2'])


def test_an_incomplete_product(tmp_path: Path) -> None:
    safe = write_l1c(tmp_path)
    next(safe.rglob(f'{TILE}_B08.jp2')).unlink()
    with pytest.raises(RuntimeError, match=r'Expected the bands B08 of Sentinel-2'):
        open_scene(safe, bands=['s2'])
    shutil.rmtree(safe / 'GRANULE')
    with pytest.raises(RuntimeError, match=r'one granule .*got none'):
        open_scene(safe, bands=['s2'])


def test_a_granule_without_its_product(tmp_path: Path) -> None:
    inside = next(write_l2a(tmp_path / 'x').rglob('IMG_DATA'))
    folder = inside.rename(tmp_path / 'IMG_DATA')
    for path in [*folder.rglob('*.jp2')]:
        path.rename(path.with_name(path.name.replace('_20240101T', '_20200101T')))
    scene = open_scene(folder, bands=['s2-10m', 's2-20m'])
    assert np.array_equal(scene.read(WHOLE, WHOLE)[0], expected(scene, 0))
    name = TILE.replace('2024', '2020')
    assert [s.name for s in find_scenes(folder)] == [name] == [scene.name]


def test_sentinel_1_as_esa_delivers_it_has_no_place(tmp_path: Path) -> None:
    folder = tmp_path / 'S1A_IW_GRDH_1SDV_20240101.SAFE' / 'measurement'
    folder.mkdir(parents=True)
    points = [GroundControlPoint(r, c, 10 + c, 50 - r) for r in (0, 4) for c in (0, 4)]
    for i, name in enumerate(('vv', 'vh'), 1):
        with rasterio.open(
            folder / f's1a-iw-grd-{name}-20240101t05-00{i}.tiff',
            'w',
            driver='GTiff',
            count=1,
            height=5,
            width=5,
            dtype='uint16',
            gcps=points,
            crs='EPSG:4326',
        ) as raster:
            raster.write(np.full((1, 5, 5), i, np.uint16))
    with pytest.raises(RuntimeError, match=r'vv-.* control points alone; .*calibrated'):
        open_scene(s1=folder.parent, bands=['s1'])


def test_a_product_is_known_by_all_its_parts(tmp_path: Path) -> None:
    safe = write_l2a(tmp_path)
    archive = pack(safe)
    folder = next(safe.rglob('IMG_DATA'))
    inside = f'/vsizip/{archive}/{folder.relative_to(tmp_path)}'
    files = sorted((folder / 'R10m').glob('*_B*.jp2'))
    packed = [f'{inside}/R10m/{file.name}' for file in files]
    for named in (folder, folder / 'R10m', files, inside, f'{inside}/R10m', packed):
        scene = open_scene(named, bands=['s2-10m'])
        assert np.array_equal(scene.read(WHOLE, WHOLE)[0], expected(scene)), named
        assert any('Level-2A, refl' in note for note in scene.notes)


@pytest.mark.parametrize(
    ('path', 'level', 'baseline', 'offset'),
    [
        (
            'S2A_MSIL1C_20230101T1_N0509_R022_T32TNS_2.SAFE/a/B02.jp2',
            'L1C',
            '05.09',
            -1000,
        ),
        ('x/S2B_MSIL2A_20220301_N0400_R022/stack.tif', 'L2A', '04.00', -1000),
        ('S2A_MSIL1C_20190101T1_N0207_R022_T32TNS_2.SAFE', 'L1C', '02.07', 0),
        ('L1C_T32TNS_A035_N05.10/IMG_DATA/B02.jp2', 'L1C', '05.10', -1000),
        ('S2A_MSIL2A_20200101_N9999_R022/B02.tif', 'L2A', '', 0),
        ('T32TNS_20240101T101010_B02_10m.jp2', '', '04.00 or later', -1000),
        ('20200510_LEVEL2_SEN2A_BOA.tif', 'L2A', '', 0),
        ('SENTINEL2A_20200412-110342-460_L2A_T31TCJ_D_V1-4_FRE_B2.tif', 'L2A', '', 0),
    ],
)
def test_names_tell_level_and_baseline(
    path: str, level: str, baseline: str, offset: float
) -> None:
    found = read_name(path)
    assert found is not None
    assert (found.level, found.baseline, found.offset('B04')) == (
        level,
        baseline,
        offset,
    )


@pytest.mark.parametrize(
    'path', ['area_N0450_E0100/stack.tif', 'T32TNS_20200101T101010_B02.jp2', 'toad.tif']
)
def test_other_names_tell_nothing(path: str) -> None:
    assert read_name(path) is None


def test_a_name_counts_unless_the_numbers_contradict_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / 'S2A_MSIL1C_20220301T101010_N0400_R022_T32TNS'
    dark = noise(13, SIDE, SIDE) % 500
    path = write(folder / 'stack.tif', dark + 1000)
    scene = open_scene(path, bands=['s2'])
    assert np.array_equal(scene.read(WHOLE, WHOLE)[0], dark)
    assert 'offset -1000, from the name S2A_MSIL1C' in caplog.text
    other = write(folder / 'harmonised.tif', dark + 1)
    with pytest.raises(RuntimeError, match=r'_N0400_R022_T32TNS says.*--s2_offset 0'):
        open_scene(other, bands=['s2'])
    scene = open_scene(other, bands=['s2'], s2_offset=0)
    assert np.array_equal(scene.read(WHOLE, WHOLE)[0], dark + 1)


def test_files_of_products_that_differ_are_refused(tmp_path: Path) -> None:
    for name, band in (('a_L1C_N0209_', 'B02'), ('a_L1C_N0510_', 'B03')):
        write(tmp_path / name / f'x_{band}.tif', noise(1, 20, 20) + 1000)
    with pytest.raises(RuntimeError, match=r'files of one product, got .*N0209'):
        open_scene(sorted(tmp_path.rglob('*.tif')), bands=['B02', 'B03'])


def test_a_granule_says_its_baseline(tmp_path: Path) -> None:
    granule = next(write_l1c(tmp_path / 'x').rglob('IMG_DATA')).parent
    folder = granule.rename(tmp_path / 'mine')
    name = 'S2B_OPER_MSI_L1C_TL_2BPS_20200101T120000_A035_T32TNS_N05.00'
    (folder / 'MTD_TL.xml').write_text(
        f'<a><n:TILE_ID xmlns:n="x">{name}</n:TILE_ID></a>'
    )
    scene = open_scene(folder / 'IMG_DATA', bands=['s2'])
    assert np.array_equal(scene.read(WHOLE, WHOLE)[0], expected(scene))
    assert any('MTD_TL.xml (processing baseline 05.00)' in n for n in scene.notes)

"""Which scenes are meant, and which images belong together."""

import logging
from pathlib import Path

import numpy as np
import pytest

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.inference.find_scenes import find_scenes
from dfc2020_geo.io.scenes import open_scene, products
from tests.support.safe_products import write_l1c, write_l2a
from tests.support.scene_files import constant, place, write, write_s1, write_s2


def names(scenes: list) -> list[tuple[str, str | None, str | None]]:
    return [
        (s.name, s.s2 and Path(s.s2).name, s.s1 and Path(s.s1).name) for s in scenes
    ]


def test_one_file_each_belong_together_whatever_their_names(tmp_path: Path) -> None:
    s2, s1 = write_s2(tmp_path / 'lake.tif'), write_s1(tmp_path / 'radar.tif')
    assert find_scenes(s2, s1) == [('lake', s2, s1)]
    assert find_scenes(str(s2)) == [('lake', str(s2), None)]
    assert find_scenes(s1=s1) == [('radar', None, s1)]


def test_folders_are_paired_by_name(tmp_path: Path) -> None:
    for name in ('a_{}_1', 'b_{}_1', 'c'):
        write_s2(tmp_path / 's2' / f'{name.format("s2")}.tif')
        write_s1(tmp_path / 's1' / f'{name.format("s1")}.TIF')
    assert names(find_scenes(tmp_path / 's2', tmp_path / 's1')) == [
        ('a_s2_1', 'a_s2_1.tif', 'a_s1_1.TIF'),
        ('b_s2_1', 'b_s2_1.tif', 'b_s1_1.TIF'),
        ('c', 'c.tif', 'c.TIF'),
    ]
    listed = find_scenes(
        [tmp_path / 's2' / 'c.tif', tmp_path / 's2' / 'a_s2_1.tif'], tmp_path / 's1'
    )
    assert [scene.name for scene in listed] == ['a_s2_1', 'c']


def test_sentinel_1_that_is_missing_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in 'ab':
        write_s2(tmp_path / 's2' / f'{name}.tif')
        write_s1(tmp_path / 's1' / f'{name}.tif')
    write_s1(tmp_path / 's1' / 'c.tif')
    with caplog.at_level(logging.WARNING):
        assert len(find_scenes(tmp_path / 's2', tmp_path / 's1')) == 2
    assert 'Left out Sentinel-1 without Sentinel-2: c.tif' in caplog.text
    (tmp_path / 's1' / 'b.tif').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 s2 files without s1 \(b\.tif\)'):
        find_scenes(tmp_path / 's2', tmp_path / 's1')


def test_one_file_of_sentinel_1_serves_all(tmp_path: Path) -> None:
    for name in 'ab':
        write_s2(tmp_path / 's2' / f'{name}.tif')
    s1 = write_s1(tmp_path / 's1.tif')
    assert names(find_scenes(tmp_path / 's2', s1)) == [
        ('a', 'a.tif', 's1.tif'),
        ('b', 'b.tif', 's1.tif'),
    ]


def test_files_of_one_band_are_brought_together(tmp_path: Path) -> None:
    for tile, dx in (('T32TNS', 0), ('T32TPS', 1000)):
        for band in ('B02', 'B03', 'B04', 'B08'):
            path = tmp_path / f'{tile}_20240101_{band}_10m.jp2'
            write(path, constant([band], 8, 9), transform=place(dx=dx))
        write(tmp_path / f'{tile}_20240101_TCI_10m.jp2', constant(['B01'] * 3, 8, 9))
    (tmp_path / '._T32TNS_20240101_B02_10m.jp2').write_bytes(b'macOS')
    scenes = find_scenes(tmp_path)
    assert [scene.name for scene in scenes] == ['T32TNS_20240101', 'T32TPS_20240101']
    for scene, east in zip(scenes, (600_000, 601_000), strict=True):
        opened = open_scene(scene.s2, bands=['s2-10m'])
        assert opened.name == scene.name
        assert opened.grid.transform.c == east
        assert opened.read((0, 1), (0, 1))[0].ravel().tolist() == [2, 3, 4, 8]


def test_a_folder_names_bands_without_names_of_their_own(tmp_path: Path) -> None:
    for lake in ('north', 'south'):
        for name in ('blue', 'green', 'red', 'nir'):
            write(tmp_path / lake / f'{name}.tif', constant(['B02'], 8, 9))
        write(tmp_path / lake / 'scl.tif', constant(['B02'], 8, 9))
    scenes = find_scenes(tmp_path)
    assert [scene.name for scene in scenes] == ['north', 'south']
    scene = open_scene(scenes[1].s2, bands=['s2-10m'])
    assert scene.name == 'south'


def test_a_band_in_the_name_of_a_stack_is_no_band(tmp_path: Path) -> None:
    for name in ('field_b1', 'field_b2'):
        write_s2(tmp_path / f'{name}.tif')
    assert [s.name for s in find_scenes(tmp_path)] == ['field_b1', 'field_b2']


def test_a_list_of_bands_and_a_list_of_scenes(tmp_path: Path) -> None:
    bands = [
        write(tmp_path / f'x_{band}.tif', constant([band], 8, 9))
        for band in BAND_SETS['s2-10m']
    ]
    [scene] = find_scenes(bands)
    assert scene.name == 'x'
    assert sorted(scene.s2) == sorted(map(str, bands))
    stacks = [write_s2(tmp_path / f'{name}.tif') for name in 'ba']
    assert [s.name for s in find_scenes(stacks)] == ['a', 'b']


def test_products_in_a_folder(tmp_path: Path) -> None:
    paths = [write_l1c(tmp_path), write_l2a(tmp_path)]
    scenes = find_scenes(tmp_path)
    assert [scene.name for scene in scenes] == [path.stem for path in paths]
    assert [str(scene.s2) for scene in scenes] == [str(path) for path in paths]
    assert [s.name for s in find_scenes(paths)] == [path.stem for path in paths]


def test_a_product_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    read = products.read_metadata
    monkeypatch.setattr(
        products, 'read_metadata', lambda file: (opened.append(file), read(file))[1]
    )
    write_l2a(tmp_path)
    [(name, s2, _)] = find_scenes(tmp_path)
    assert open_scene(s2, bands=['s2-10m']).name == name
    assert len(opened) == 1


def test_two_scenes_of_one_name(tmp_path: Path) -> None:
    paths = [write_s2(tmp_path / folder / 'x.tif') for folder in 'ab']
    with pytest.raises(RuntimeError, match=r'one scene named x, got .*a/x.*b/x'):
        find_scenes(paths)


@pytest.mark.parametrize('named', ['missing', 'missing.tif', 'missing.SAFE', 'a.zip'])
def test_what_does_not_exist(tmp_path: Path, named: str) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf'got .*{named}, which does not exist'
    ):
        find_scenes(tmp_path / named)
    with pytest.raises(
        FileNotFoundError, match=rf'got .*{named}, which does not exist'
    ):
        open_scene(tmp_path / named, bands=['s2'])


def test_where_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / 'readme.txt').write_text('x')
    with pytest.raises(FileNotFoundError, match=r'Expected scenes in .*no rasters'):
        find_scenes(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'Expected rasters in .*got none'):
        open_scene(tmp_path, bands=['s2'])
    with pytest.raises(FileNotFoundError, match=r'empty list'):
        open_scene([], bands=['s2'])
    with pytest.raises(FileNotFoundError, match=r'Expected scenes in \[\]'):
        find_scenes([])
    with pytest.raises(ValueError, match=r'got none; give --s2 or --s1'):
        find_scenes()


def test_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / 'a.zip').write_bytes(b'PK no zip')
    with pytest.raises(RuntimeError, match=r'damaged one: .*a\.zip'):
        find_scenes(tmp_path / 'a.zip')


R = ('B02', 'B03', 'B04', 'B08')


@pytest.mark.parametrize('prefix', ['site1_', ''])
def test_stacks_beside_single_bands_are_scenes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, prefix: str
) -> None:
    folder = tmp_path / 'mix'
    for band in R:
        write(folder / f'{prefix}{band}.tif', constant([band], 8, 9))
    for name in ('site10', 'site1_2021', 'other'):
        write(folder / f'{name}.tif', constant(R, 8, 9), descriptions=R)
    for name in (
        'MSK_CLDPRB_20m',
        f'{prefix}SCL',
        'dem',
        f'{prefix}AOT',
        'MSK_DETFOO_B02',
    ):
        write(folder / f'{name}.tif', constant(['B02'], 8, 9))
    for name, count in (('T32TNS_TCI', 3), ('rgb', 3), ('scene_PVI', 3), ('qa60', 2)):
        write(folder / f'{name}.tif', np.ones((count, 8, 9), np.uint8))
    scenes = find_scenes(folder)
    single = prefix.rstrip('_') or 'mix'
    assert [s.name for s in scenes] == sorted(['other', 'site10', 'site1_2021', single])
    for scene in scenes:
        image, _ = open_scene(scene.s2, bands=['s2-10m']).read((0, 1), (0, 1))
        assert image.ravel().tolist() == [2, 3, 4, 8]
    [text] = caplog.messages
    for name in (
        'MSK_CLDPRB',
        'SCL',
        'dem',
        'AOT',
        'DETFOO',
        'TCI',
        'rgb',
        'PVI',
        'qa60',
    ):
        assert f'{name}' in text


def test_a_granule_is_its_images(tmp_path: Path) -> None:
    for write_product in (write_l1c, write_l2a):
        safe = write_product(tmp_path)
        granules = safe / 'GRANULE'
        [granule] = granules.iterdir()
        for band in BAND_SETS['s2']:
            for kind in ('DETFOO', 'QUALIT'):
                path = granule / 'QI_DATA' / f'MSK_{kind}_{band}.jp2'
                write(path, np.full((1, 36, 36), 1, np.uint8))
        for named in (granules, granule, granule / 'IMG_DATA'):
            [scene] = find_scenes(named)
            opened = open_scene(scene.s2, bands=['s2-10m'])
            assert all('IMG_DATA' in r.file.path for r in opened.readers), named
            assert any('offset -1000' in note for note in opened.notes)
        with pytest.raises(FileNotFoundError, match=r'no rasters'):
            find_scenes(granule / 'QI_DATA')


def test_files_are_brought_together_by_description(tmp_path: Path) -> None:
    for number, band in enumerate(R):
        write(
            tmp_path / 's' / f'{number}.tif',
            constant([band], 8, 9),
            descriptions=[band],
        )
    [scene] = find_scenes(tmp_path / 's')
    image, _ = open_scene(scene.s2, bands=['s2-10m']).read((0, 1), (0, 1))
    assert image.ravel().tolist() == [2, 3, 4, 8]


def test_an_area_may_be_called_as_a_band_is(tmp_path: Path) -> None:
    for area in ('b2', 'b8'):
        for name in ('blue', 'green', 'red', 'nir', 'scl'):
            write(tmp_path / f'{area}_{name}.tif', constant(['B02'], 8, 9))
    scenes = find_scenes(tmp_path)
    assert [scene.name for scene in scenes] == ['b2', 'b8']
    for scene in scenes:
        open_scene(scene.s2, bands=['s2-10m'])


def test_polarisations_of_esa_are_one_scene(tmp_path: Path) -> None:
    for number, band in enumerate(('vv', 'vh'), 1):
        path = tmp_path / f's1a-iw-grd-{band}-20200101t05-00{number}.tif'
        write(path, constant([band.upper()], 8, 9, 'float32'))
    [scene] = find_scenes(s1=tmp_path)
    image, _ = open_scene(s1=scene.s1, bands=['s1']).read((0, 1), (0, 1))
    assert image.ravel().tolist() == [14, 15]

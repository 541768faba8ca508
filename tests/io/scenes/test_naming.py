"""Where the bands of a scene lie, by description, file name, position or flag."""

from pathlib import Path

import pytest

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.datasets import Sentinel2Scenes
from dfc2020_geo.io.scenes import open_scene
from tests.support.scene_files import constant, write

S2 = BAND_SETS['s2']


@pytest.mark.parametrize(
    'descriptions', [None, [f'Band {i}' for i in range(1, 14)], [*S2[::-1]]]
)
def test_bands_lie_where_the_file_says(
    tmp_path: Path, descriptions: list[str] | None
) -> None:
    told = descriptions == [*S2[::-1]]
    order = S2[::-1] if told else S2
    path = write(tmp_path / 'a.tif', constant(order, 3, 4), descriptions=descriptions)
    scene = open_scene(path, bands=['s2'])
    image, valid = scene.read((0, 3), (0, 4))
    assert scene.bands == S2
    assert image[:, 1, 2].tolist() == list(range(1, 14))
    assert valid.all()
    assert ('description' if told else 'position') in scene.notes[0]


def test_a_file_of_one_band_goes_by_its_name_first(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f'x_{b}.tif', constant([b], 3, 4), descriptions=['B1'])
        for b in ('B04', 'B02', 'B08')
    ]
    image, _ = open_scene(files, bands=['B02', 'B04', 'B08']).read((0, 3), (0, 4))
    assert image[:, 0, 0].tolist() == [2, 4, 8]


@pytest.mark.parametrize('names', [['VH', 'VV'], ['Sigma0_VH', 'Sigma0_VV']])
def test_given_names_count(tmp_path: Path, names: list[str]) -> None:
    path = write(tmp_path / 'a.tif', constant(['VV', 'VH'], 3, 4, 'float32'))
    image, _ = open_scene(s1=path, bands=['s1'], s1_bands=names).read((0, 3), (0, 4))
    assert image[:, 0, 0].tolist() == [15, 14]


def test_given_names_may_leave_bands_out(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.tif', constant(['B12', 'B02', 'B04'], 3, 4))
    scene = open_scene(path, bands=['B02', 'B12'], s2_bands=['B12', 'B2', '-'])
    assert scene.read((0, 3), (0, 4))[0][:, 0, 0].tolist() == [2, 13]


def test_more_bands_than_the_sensor_has(tmp_path: Path) -> None:
    image = constant(['VH', 'B01', 'VV'], 3, 4, 'float32')
    path = write(tmp_path / 'a.tif', image, descriptions=['VH', 'angle', 'VV'])
    image, _ = open_scene(s1=path, bands=['s1']).read((0, 3), (0, 4))
    assert image[:, 0, 0].tolist() == [14, 15]


def test_level_2a_without_b10(tmp_path: Path) -> None:
    names = [name for name in S2 if name != 'B10']
    path = write(tmp_path / 'a.tif', constant(names, 3, 4), descriptions=names)
    image, _ = open_scene(path, bands=['s2-10m', 'B12']).read((0, 3), (0, 4))
    assert image[:, 0, 0].tolist() == [2, 3, 4, 8, 13]
    with pytest.raises(RuntimeError, match=r'bands B10 of .*Level-2A has no B10'):
        open_scene(path, bands=['s2'])


def test_twelve_bands_without_names(tmp_path: Path) -> None:
    names = [name for name in S2 if name != 'B10']
    path = write(tmp_path / 'a.tif', constant(names, 3, 4))
    with pytest.raises(
        RuntimeError, match=r'12 bands \(without .*a\.tif.*--s2_bands.*B09,B11,B12'
    ) as caught:
        open_scene(path, bands=['s2-20m'])
    given = str(caught.value).rpartition(': ')[2].rstrip('.').split(',')
    image, _ = open_scene(path, bands=['s2-20m'], s2_bands=given).read((0, 3), (0, 4))
    assert image[:, 0, 0].tolist() == [5, 6, 7, 9, 12, 13]


@pytest.mark.parametrize(
    ('sensor', 'count', 'descriptions', 'match'),
    [
        ('s2', 4, None, r'B02.* got 4 bands \(without descriptions\).*--s2_bands'),
        ('s2', 14, None, r'got 14 bands .*--s2_bands'),
        ('s1', 2, ['HH', 'HV'], r'VV, VH .* got 2 bands \(HH, HV\).*--s1_bands'),
        ('s1', 13, None, r'VV, VH of Sentinel-1 .* got 13 bands'),
        ('s1', 1, None, r'VV, VH of Sentinel-1 .* got 1 band '),
        ('s1', 2, ['VV', None], r'bands VH .* got VV'),
        ('s2', 3, ['B02', 'B03', 'B04'], r'B05.* got B02, B03, B04'),
    ],
)
def test_unknown_bands_are_asked_for(
    tmp_path: Path, sensor: str, count: int, descriptions: list[str] | None, match: str
) -> None:
    image = constant(['B01'], 3, 4).repeat(count, 0)
    path = write(tmp_path / 'a.tif', image, descriptions=descriptions)
    with pytest.raises(RuntimeError, match=match):
        open_scene(**{sensor: path}, bands=[sensor])


def test_wrong_names(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.tif', constant(['B02', 'B03'], 3, 4))
    with pytest.raises(ValueError, match=r'each of the 2 bands .*a\.tif, got 1: B02'):
        open_scene(path, bands=['B02'], s2_bands=['B02'])
    with pytest.raises(ValueError, match=r'--s2_bands to be of B01.*got red2'):
        open_scene(path, bands=['B02'], s2_bands=['B02', 'red2'])


def test_a_band_that_is_there_twice(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f'{name}.tif', constant(['B02'], 3, 4))
        for name in ('a_B02', 'a_B2')
    ]
    with pytest.raises(RuntimeError, match=r'one band B02, got .*a_B02.*a_B2\.tif'):
        open_scene(files, bands=['B02'])
    path = write(
        tmp_path / 'c.tif', constant(['B02'] * 2, 3, 4), descriptions=['B2', 'B02']
    )
    with pytest.raises(
        RuntimeError, match=r'band 1 of .*c\.tif and band 2 of .*c\.tif'
    ):
        open_scene(path, bands=['B02'])


FORCE = [
    'BLUE',
    'GREEN',
    'RED',
    'REDEDGE1',
    'REDEDGE2',
    'REDEDGE3',
    'BROADNIR',
    'NIR',
    'SWIR1',
    'SWIR2',
]


def test_every_reader_knows_the_names_of_force(tmp_path: Path) -> None:
    bands = ['B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12']
    image = constant(bands, 3, 4)
    stack = write(tmp_path / 'a.tif', image, descriptions=FORCE)
    plain = write(tmp_path / 'plain.tif', image)
    files = [
        write(tmp_path / f'x_{name}.tif', image[i : i + 1])
        for i, name in enumerate(FORCE)
    ]
    described = [
        write(tmp_path / f'{i}.tif', image[i : i + 1], descriptions=[name])
        for i, name in enumerate(FORCE)
    ]
    for named, names in (
        (stack, None),
        (files, None),
        (described, None),
        (plain, FORCE),
    ):
        scene = open_scene(named, bands=bands, s2_bands=names)
        numbers = scene.read((0, 3), (0, 4))[0][:, 0, 0].tolist()
        assert numbers == [2, 3, 4, 5, 6, 7, 8, 9, 12, 13]
    sample = Sentinel2Scenes(stack, bands=bands)[600_000:600_040, 5_299_970:5_300_000]
    assert sample['image'][:, 0, 0].tolist() == numbers


@pytest.mark.parametrize(
    'name', ['MSK_DETFOO_B02', 'MSK_QUALIT_B02', 'view_zenith_B02', 'B02_stdDev']
)
def test_what_is_no_band_is_not_read(tmp_path: Path, name: str) -> None:
    described = write(
        tmp_path / 'a.tif', constant(['B02', 'B03'], 3, 4), descriptions=[name, 'B03']
    )
    file = write(tmp_path / f'{name}.tif', constant(['B02'], 3, 4))
    told = write(
        tmp_path / f'{name}_2.tif', constant(['B02'], 3, 4), descriptions=['B02']
    )
    for named in (described, file, told):
        with pytest.raises(RuntimeError, match=r'Expected the bands B02'):
            open_scene(named, bands=['B02'])


def test_two_bands_beside_others_are_no_polarisations(tmp_path: Path) -> None:
    image = constant(['VV', 'VH'], 3, 4, 'float32')
    path = write(tmp_path / 'a.tif', image, descriptions=['incidence angle', 'mask'])
    with pytest.raises(RuntimeError, match=r'Expected the bands VV, VH'):
        open_scene(s1=path, bands=['s1'])

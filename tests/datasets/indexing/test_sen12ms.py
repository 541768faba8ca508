"""SEN12MS on disk: its folders, its lists, its splits."""

import logging
from pathlib import Path

import pytest
from torchgeo.datasets import DatasetNotFoundError

from dfc2020_geo.datasets import SEN12MSPatches
from dfc2020_geo.datasets.indexing.sen12ms import geo_val_scenes
from tests.support.trees import sen12ms_season, write, write_sen12ms

MANY = [
    f'{season}_{scene}_p{patch}'
    for season in ('spring', 'summer', 'winter')
    for scene in range(1, 11)
    for patch in (1, 2)
]


def ids(dataset: SEN12MSPatches) -> list[str]:
    return [files.id for files in dataset.files]


@pytest.fixture(scope='module')
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 scenes, one of them held out."""
    root = tmp_path_factory.mktemp('many')
    return write_sen12ms(root, MANY, ['ROIs1868_summer/s1_4'], shape=(1, 1))


@pytest.mark.parametrize('place', ['', 'SEN12MS', 'a_s2_root/SEN12MS'])
def test_seasons_in_the_root_or_one_level_deeper(tmp_path: Path, place: str) -> None:
    write_sen12ms(tmp_path / place)
    root = (tmp_path / place).parent if place else tmp_path
    assert ids(SEN12MSPatches(root, 'train')) == [
        'ROIs1158_spring_s2_1_p1',
        'ROIs1158_spring_s2_1_p2',
    ]
    assert ids(SEN12MSPatches(root, 'holdout')) == ['ROIs1868_summer_s2_1_p1']


def test_each_archive_extracted_to_its_own_folder(tmp_path: Path) -> None:
    write_sen12ms(tmp_path)
    for season in ('spring', 'summer'):
        name = sen12ms_season(season)
        for kind in ('s1', 's2', 'lc'):
            target = tmp_path / f'{name}_{kind}' / name
            target.mkdir(parents=True)
            (tmp_path / name / f'{kind}_1').rename(target / f'{kind}_1')
        (tmp_path / name).rmdir()
    assert len(SEN12MSPatches(tmp_path, 'train')) == 2


def test_root_may_be_a_string_and_may_have_a_sensor_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sen12ms(tmp_path / 'x_s2_lc_' / 's2_1')
    monkeypatch.chdir(tmp_path)
    dataset = SEN12MSPatches('x_s2_lc_/s2_1')
    assert dataset[0]['image'].shape == (12, 7, 5)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert len(SEN12MSPatches('~/x_s2_lc_/s2_1')) == 2


def test_junk_beside_the_files_is_not_read(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path)
    folder = root / 'ROIs1158_spring'
    name = 'ROIs1158_spring_s2_1_p1.tif'
    for junk in ('Thumbs.db', f'._{name}', f'{name}.aux.xml', 'preview.tif', '.hidden'):
        (folder / 's2_1' / junk).write_bytes(b'junk')
    (folder / 's2_1' / 'ROIs1158_spring_s2_1_p9.tif').mkdir()
    write(folder / 's2_old' / 'ROIs1158_spring_s2_1_p1.tif', 's2')
    write(folder / 's1_old' / 'ROIs1158_spring_s1_old_p1.tif', 's1')
    write(folder / 's2_1' / 'ROIs1158_spring_s2_1_p1 (1).tif', 's2')
    write(root / '__MACOSX/ROIs1158_spring/s2_1' / name, 's2')
    write(root / 'backup/ROIs1158_spring/s2_1' / name, 's2')
    (root / 'ROIs1158_spring' / 'readme.txt').write_text('junk')
    assert ids(SEN12MSPatches(root)) == [
        'ROIs1158_spring_s2_1_p1',
        'ROIs1158_spring_s2_1_p2',
    ]


def test_scenes_of_two_seasons_may_have_the_same_number(tmp_path: Path) -> None:
    root = write_sen12ms(
        tmp_path, ['spring_15_p1', 'fall_15_p1'], ['ROIs1970_fall/s1_15']
    )
    files = SEN12MSPatches(root).files
    assert [patch.scene for patch in files] == ['ROIs1158_spring/15']


@pytest.mark.parametrize(
    'text',
    [
        'ROIs1868_summer/s1_1',
        'ROIs1868_summer/s1_1\r\nROIs1970_fall/s1_8\r\n',
        '\ufeffROIs1868_summer/s2_1\n',
        '\n\n  ROIs1868_summer/s1_1/  \n\n',
        '"ROIs1868_summer/s1_1"\n"ROIs2017_winter/s1_7"\n',
        './ROIs1868_summer/lc_1\n',
        'ROIs1868_summer\\s1_1\n',
    ],
)
def test_lists_of_scenes_as_people_have_them(tmp_path: Path, text: str) -> None:
    root = write_sen12ms(tmp_path, holdout=None)
    (root / 'SEN12MS_holdOutScenes.txt').write_bytes(text.encode())
    assert ids(SEN12MSPatches(root, 'holdout')) == ['ROIs1868_summer_s2_1_p1']
    assert len(SEN12MSPatches(root, 'train')) == 2


def test_torchgeos_lists_serve_where_the_list_of_scenes_is_absent(
    tmp_path: Path,
) -> None:
    root = write_sen12ms(tmp_path, holdout=None)
    lines = ['ROIs1158_spring_s2_1_p2.tif', 'ROIs1970_fall_s2_9_p2.tif', '']
    (root / 'train_list.txt').write_text('\r\n'.join(lines))
    (root / 'test_list.txt').write_text('ROIs1868_summer_lc_1_p1.tif\n')
    assert ids(SEN12MSPatches(root, 'train')) == ['ROIs1158_spring_s2_1_p2']
    assert ids(SEN12MSPatches(root, 'holdout')) == ['ROIs1868_summer_s2_1_p1']
    (root / 'SEN12MS_holdOutScenes.txt').write_text('ROIs1868_summer/s1_1\n')
    assert len(SEN12MSPatches(root, 'train')) == 2


def test_without_a_list_the_message_says_where_it_is_found(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path, holdout=None)
    for split, name in (('train', 'train_list'), ('holdout', 'test_list')):
        with pytest.raises(
            DatasetNotFoundError,
            match=rf'SEN12MS_holdOutScenes\.txt \(or .*{name}.* in {root}, .*'
            'https://github.com/schmitt-muc/SEN12MS/tree/master/splits',
        ):
            SEN12MSPatches(root, split)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('ROIs1868_summer/s1_1\nsummer 1\n', "got 'summer 1' in line 2"),
        ('ROIs1868_summer/s1_1.tif\n', "got 'ROIs1868_summer/s1_1.tif' in line 1"),
        ('\n', 'got none'),
    ],
)
def test_a_list_that_is_not_understood_holds_nothing_back_silently(
    tmp_path: Path, text: str, message: str
) -> None:
    root = write_sen12ms(tmp_path, holdout=None)
    (root / 'SEN12MS_holdOutScenes.txt').write_text(text)
    with pytest.raises(RuntimeError, match=rf'holdOutScenes\.txt, {message}'):
        SEN12MSPatches(root)


def test_the_broken_patch_is_skipped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_sen12ms(
        tmp_path,
        ['spring_1_p1', 'summer_146_p202', 'summer_146_p203'],
        ['ROIs1158_spring/s1_1'],
    )
    broken = root / 'ROIs1868_summer/s1_146/ROIs1868_summer_s1_146_p202.tif'
    broken.unlink()  # neither is its twin missed
    assert ids(SEN12MSPatches(root)) == ['ROIs1868_summer_s2_146_p203']
    messages = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(messages) == 1
    assert 'ROIs1868_summer_s2_146_p202' in messages[0]


@pytest.mark.parametrize(
    ('bands', 'removed', 'message'),
    [
        (
            ['s1', 's2'],
            's2',
            r'2 s1 files without s2 \(.*s1_1_p1\.tif, .*s1_1_p2\.tif\)',
        ),
        (
            ['s1', 's2'],
            's1',
            r'2 s2 files without s1 \(.*s2_1_p1\.tif, .*s2_1_p2\.tif\)',
        ),
        (['s1'], 'lc', r'2 s1 files without lc \(.*s1_1_p1\.tif, .*s1_1_p2\.tif\)'),
        (['s2'], 'lc', r'2 s2 files without lc \(.*s2_1_p1\.tif, .*s2_1_p2\.tif\)'),
    ],
)
def test_missing_twins_are_counted_and_named(
    tmp_path: Path, bands: list[str], removed: str, message: str
) -> None:
    root = write_sen12ms(tmp_path)
    for path in (root / f'ROIs1158_spring/{removed}_1').iterdir():
        path.unlink()
    with pytest.raises(DatasetNotFoundError, match=message):
        SEN12MSPatches(root, bands=bands)


def test_the_first_three_missing_twins_are_named(tmp_path: Path) -> None:
    names = ['summer_1_p1', *(f'spring_1_p{i}' for i in range(5))]
    root = write_sen12ms(tmp_path, names)
    for path in (root / 'ROIs1158_spring/s2_1').iterdir():
        path.unlink()
    with pytest.raises(
        DatasetNotFoundError,
        match=r'5 s1 files without s2 \(.*_p0\.tif, .*_p1\.tif, .*_p2\.tif and 2 more\)',
    ):
        SEN12MSPatches(root)


def test_what_the_bands_do_not_need_is_not_missed(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path)
    for path in (root / 'ROIs1158_spring/s2_1').iterdir():
        path.unlink()
    assert ids(SEN12MSPatches(root, bands=['s1'])) == [
        'ROIs1158_spring_s2_1_p1',
        'ROIs1158_spring_s2_1_p2',
    ]


def test_labels_without_images_are_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_sen12ms(tmp_path)
    write(root / 'ROIs2017_winter/lc_3/ROIs2017_winter_lc_3_p1.tif', 'lc')
    assert len(SEN12MSPatches(root)) == 2
    assert 'Left out 1 lc files' in caplog.text


def test_a_file_that_is_there_twice(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path)
    write(root / 'ROIs1158_spring/s2_1/ROIs1158_spring_s2_1_p1.TIFF', 's2')
    with pytest.raises(RuntimeError, match=r'one s2 file .* got .*TIFF and .*tif'):
        SEN12MSPatches(root)


def test_nothing_to_read(tmp_path: Path) -> None:
    looked_for = 'ROIs1158_spring, ROIs1868_summer, ROIs1970_fall, ROIs2017_winter'
    with pytest.raises(DatasetNotFoundError, match=f'{looked_for}.*an empty folder'):
        SEN12MSPatches(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=rf'{tmp_path}/no, got no such'):
        SEN12MSPatches(tmp_path / 'no')
    (tmp_path / 'ROIs1158_spring_s1.tar.gz').touch()
    with pytest.raises(DatasetNotFoundError, match=r'only .*s1\.tar\.gz\. Extract the'):
        SEN12MSPatches(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=r'gz, got a file\.'):
        SEN12MSPatches(tmp_path / 'ROIs1158_spring_s1.tar.gz')


def test_a_split_without_scenes(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path, ['spring_1_p1'])
    with pytest.raises(
        DatasetNotFoundError, match=r"'holdout' scenes .* got 0 of 1 by"
    ):
        SEN12MSPatches(root, 'holdout')
    write_sen12ms(root, ['summer_1_p1'])
    assert len(SEN12MSPatches(root, 'geo_train')) == 1
    with pytest.raises(DatasetNotFoundError, match=r'two or more .* got 1 of 2 by'):
        SEN12MSPatches(root, 'geo_val')


def test_geo_splits_part_the_training_scenes(many: Path) -> None:
    train, val = (SEN12MSPatches(many, f'geo_{part}') for part in ('train', 'val'))
    scenes = [{patch.scene for patch in dataset.files} for dataset in (train, val)]
    assert not scenes[0] & scenes[1]
    assert 'ROIs1868_summer/4' not in scenes[0] | scenes[1]
    assert len(scenes[1]) == 3
    assert sorted(ids(train) + ids(val)) == sorted(ids(SEN12MSPatches(many)))


def test_geo_splits_depend_on_the_names_of_scenes_only() -> None:
    scenes = [f'{season}/{n}' for season in ('spring', 'fall') for n in range(50)]
    chosen = geo_val_scenes(scenes)
    assert chosen == geo_val_scenes(reversed(scenes * 2))
    assert len(chosen) == 10
    assert len({scene.partition('/')[0] for scene in chosen}) == 2
    # Fixed: a published score would change with it.
    assert geo_val_scenes([f'ROIs1158_spring/{n}' for n in range(10)]) == {
        'ROIs1158_spring/4'
    }


@pytest.mark.parametrize(
    ('num', 'expected'), [(0, 0), (1, 0), (2, 1), (14, 1), (226, 23)]
)
def test_geo_val_has_a_tenth_of_the_scenes(num: int, expected: int) -> None:
    assert len(geo_val_scenes(str(i) for i in range(num))) == expected


def test_a_process_whose_folder_was_removed_finds_no_patches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / 'here'
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    with pytest.raises(DatasetNotFoundError, match=r'GeoTIFFs in \.,'):
        SEN12MSPatches(Path())


@pytest.mark.parametrize('place', ['', 'splits', 'SEN12MS'])
def test_a_list_that_appears_or_changes_counts(tmp_path: Path, place: str) -> None:
    home = 'SEN12MS' if place == 'SEN12MS' else ''
    root = tmp_path / 'tree'
    write_sen12ms(root / home, ['spring_1_p1', 'spring_2_p1'], None)
    (root / place).mkdir(exist_ok=True)
    (root / home / 'train_list.txt').write_text('ROIs1158_spring_s2_1_p1.tif\n')
    assert ids(SEN12MSPatches(root)) == ['ROIs1158_spring_s2_1_p1']
    scenes = root / place / 'SEN12MS_holdOutScenes.txt'
    for scene, other in (('1', '2'), ('2', '1')):
        scenes.write_text(f'ROIs1158_spring/s1_{scene}\n')
        assert ids(SEN12MSPatches(root)) == [f'ROIs1158_spring_s2_{other}_p1']


@pytest.mark.parametrize('split', ['train', 'geo_train', 'geo_val'])
def test_a_list_of_another_tree_is_refused(tmp_path: Path, split: str) -> None:
    write_sen12ms(tmp_path, holdout=['ROIs2017_winter/s1_99'])
    with pytest.raises(FileNotFoundError, match='of which none is there') as error:
        SEN12MSPatches(tmp_path, split)
    assert str(tmp_path / 'SEN12MS_holdOutScenes.txt') in str(error.value)

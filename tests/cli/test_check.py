"""What ``dfc2020-geo check`` prints and writes, and what runs make of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.datasets import DFC2020Patches, PatchesNotFoundError, SEN12MSPatches
from dfc2020_geo.io.packs.writing.pack import pack_tree
from dfc2020_geo.io.rasters import write_image
from dfc2020_geo.main import main
from dfc2020_geo.synthetic import write_scene, write_sen12ms


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    seasons = ('ROIs1158_spring', 'ROIs1868_summer')
    return write_sen12ms(
        tmp_path / 'sen12ms', size=16, seasons=seasons, patches_per_scene=2
    )


@pytest.fixture
def spoilt(tree: Path) -> list[Path]:
    """A patch that is cut off and one without its label, of different scenes."""
    cut, *_, lonely = sorted(tree.glob('ROIs1158_spring/s2_*/*.tif'))
    cut.write_bytes(cut.read_bytes()[:-500])
    Path(str(lonely).replace('s2_', 'lc_')).unlink()
    return [cut, lonely]


def _status(*args: object) -> object:
    try:
        main(['check', *map(str, args)])
    except SystemExit as stop:
        return stop.code
    return 0


def test_a_good_tree_ends_with_status_0(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status(tree) == 0
    out = capsys.readouterr().out
    assert out.startswith(f'{tree}: 16 patches (SEN12MS)\n  codes of labels: ')
    assert out.endswith('0 errors, 0 warnings.\n')


def test_errors_are_named_and_end_with_status_1(
    tree: Path, spoilt: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status(tree) == 1
    out = capsys.readouterr().out
    assert all(f'  error: {path}' in out or str(path) in out for path in spoilt)
    assert '2 errors, 0 warnings.' in out


def test_json_has_all_that_the_table_has(
    tree: Path, spoilt: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status(tree, '--json', '--deep', '--out', tmp_path / 'found.json') == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / 'found.json').read_text())
    (report,) = printed[str(tree)]
    assert report['kind'] == 'SEN12MS'
    assert {remark['path'] for remark in report['remarks']} >= {str(spoilt[0])}
    assert {remark['level'] for remark in report['remarks']} == {'error'}


def test_a_run_leaves_out_what_the_list_names(
    tree: Path, spoilt: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(PatchesNotFoundError, match='1 s2 files without lc'):
        SEN12MSPatches(tree, 'holdout')
    skip_list = tmp_path / 'skip.txt'
    assert _status(tree, '--skip_list', skip_list) == 1
    data = LandCoverDataModule(
        sen12ms_root=tree, val='sen12ms_holdout', skip_list=skip_list, num_workers=0
    )
    data.setup('fit')
    datasets = [data.train_dataset, data.val_dataset]
    ids = {f.id for x in datasets if isinstance(x, SEN12MSPatches) for f in x.files}
    assert len(ids) == 16 - 2 - 1  # one is known to be damaged
    assert not ids & {path.stem for path in spoilt}
    assert all(dataset[0] for dataset in datasets)


def test_a_pack_is_read_without_what_the_list_names(tree: Path, tmp_path: Path) -> None:
    pack_tree(tree, tmp_path / 'pack')
    first, *others = SEN12MSPatches(tree, 'train').files
    assert first.s2 is not None
    name = first.s2.relative_to(tree).as_posix()
    names = [name.replace('s2_', f'{kind}_') for kind in ('s2', 's1', 'lc')]
    (tmp_path / 'skip.txt').write_text('\n'.join(names))
    pack = SEN12MSPatches(tmp_path / 'pack', 'train', skip_list=tmp_path / 'skip.txt')
    assert [files.id for files in pack.files] == [files.id for files in others]


def test_a_skip_list_that_is_missing_is_named(tree: Path) -> None:
    with pytest.raises(PatchesNotFoundError, match=r'no file at no\.txt'):
        SEN12MSPatches(tree, 'train', skip_list='no.txt')


def test_lists_of_copernicus_may_name_what_is_skipped(tmp_path: Path) -> None:
    home = tmp_path / 'dfc2020_s1s2'
    names = []
    for number in range(3):
        for kind, count in (('s1', 2), ('s2', 13), ('dfc', 1)):
            path = home / kind / f'ROIs0000_test_{kind}_0_p{number}.tif'
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, np.ones((count, 4, 4), np.uint8))
        names.append(f'ROIs0000_test_dfc_0_p{number}.tif')
    (home / 'dfc-test-new.csv').write_text('\n'.join(names))
    skip_list = tmp_path / 'skip.txt'
    skipped = [
        f'dfc2020_s1s2/{k}/ROIs0000_test_{k}_0_p1.tif' for k in ('s1', 's2', 'dfc')
    ]
    skip_list.write_text('\n'.join(skipped))
    dataset = DFC2020Patches(tmp_path, 'copernicus-test', skip_list=skip_list)
    assert [files.id[-2:] for files in dataset.files] == ['p0', 'p2']


def test_scenes_are_opened_and_judged_as_map_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_scene(tmp_path, shape=(40, 60))
    assert _status(files.s2, files.s1) == 0
    out = capsys.readouterr().out
    assert '1 scenes (scenes)' in out
    assert 'bands B01, B02' in out
    assert 'bands VV, VH' in out
    with rasterio.open(files.s1) as raster:
        power, profile = 10 ** (raster.read() / 10), raster.profile
    with rasterio.open(tmp_path / 'power.tif', 'w', **profile) as raster:
        raster.write(power.astype(np.float32))
    assert _status(tmp_path / 'power.tif') == 1
    assert 'linear power' in capsys.readouterr().out


@pytest.mark.parametrize('size', [40, 2100])
def test_codes_of_labels_are_compared_with_the_legends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    codes = np.ones((1, size, size), np.uint8)
    codes[:, : size // 2] = 17
    write_image(tmp_path / 'labels.tif', codes)
    for path in (tmp_path, tmp_path / 'labels.tif'):
        assert _status(path) == 0
        out = capsys.readouterr().out
        assert '1 rasters (labels)\n  codes of labels: 1: 50.0%, 17: 50.0%' in out
        assert 'all in the legend igbp.' in out
    codes[:, 0, 0] = 90
    write_image(tmp_path / 'labels.tif', codes)
    assert _status(tmp_path, '--deep') == 0
    out = capsys.readouterr().out
    assert 'warning' in out
    assert 'igbp or dfc2020, got 1, 17, 90.' in out


@pytest.mark.parametrize('name', ['nothing', 'empty'])
def test_what_is_no_data_is_told(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'empty').mkdir()
    assert _status(tmp_path / name) == 1
    assert f'{tmp_path / name}' in capsys.readouterr().out


def test_files_are_replaced_when_asked_for(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'found.json'
    path.write_text('mine')
    assert _status(tree, '--out', path) == 1
    assert f'got {path}, which is there; give --overwrite' in capsys.readouterr().err
    assert path.read_text() == 'mine'
    assert _status(tree, '--out', path, '--overwrite') == 0
    assert json.loads(path.read_text())


def test_wrong_flags_end_with_status_2(tree: Path) -> None:
    assert _status(tree, '--workers', '0') == 2
    assert _status('--deep') == 2


def test_a_copy_of_a_tree_says_nothing_else(tree: Path, tmp_path: Path) -> None:
    """The folder above a tree is checked as well."""
    shutil.copytree(tree, tmp_path / 'above' / 'SEN12MS')
    assert _status(tmp_path / 'above') == 0

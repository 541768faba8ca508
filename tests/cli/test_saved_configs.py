"""Configs and checkpoints of commit b0abc9c, whose classes have other places now."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from rasterio import Affine

from dfc2020_geo.cli.settings import RENAMED_CLASSES
from dfc2020_geo.io.rasters import write_image
from dfc2020_geo.main import main
from dfc2020_geo.models.contract import CONTRACT_KEY, read_checkpoint
from tests.support import DATA

OLD = DATA / 'b0abc9c'

#: Arguments of the datamodule that are newer, with their defaults.
ADDED = {
    'skip_list': None,
    'max_patch_size': 2048,
    'check': 'error',
    'on_error': 'stop',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configs' relative paths lead somewhere."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    place = ('EPSG:32632', Affine(10, 0, 500_000, 0, -10, 5_000_000))
    for part in ('train', 'val'):
        images = {
            's2': rng.integers(0, 5000, (13, 96, 96)).astype('uint16'),
            's1': np.stack(
                [rng.uniform(*r, (96, 96)) for r in ((-15, 0), (-25, -10))]
            ).astype('float32'),
            'labels': rng.integers(1, 11, (1, 96, 96)).astype('uint8'),
        }
        for kind, image in images.items():
            path = tmp_path / 'scenes' / part / kind / 'a.tif'
            path.parent.mkdir(parents=True)
            write_image(path, image, *place)
    return tmp_path


def test_classes_of_old_names_are_where_they_are_said_to_be() -> None:
    for path in RENAMED_CLASSES.values():
        module, _, name = path.rpartition('.')
        assert hasattr(__import__(module, fromlist=[name]), name)


def test_a_saved_training_of_patches_runs(folder: Path, baseline_tree: Path) -> None:
    (folder / 'tree').symlink_to(baseline_tree)
    main(['fit', '--config', str(OLD / 'patches_fit.yaml')])
    text = (folder / 'runs' / 'patches' / 'fit.yaml').read_text()
    assert '# dfc2020-geo config, format 1\n' in text
    saved_settings = yaml.safe_load(text)
    # What has been added since has its default, and changes nothing.
    added = {name: saved_settings['data']['init_args'].pop(name) for name in ADDED}
    assert added == ADDED
    assert saved_settings == yaml.safe_load((OLD / 'patches_fit.yaml').read_text())
    (saved,) = folder.rglob('*.pth')
    assert read_checkpoint(saved)[CONTRACT_KEY]['format'] == 1


def test_a_saved_training_on_scenes_runs(folder: Path) -> None:
    main(['fit', '--config', str(OLD / 'scenes_fit.yaml')])
    saved = yaml.safe_load((folder / 'runs' / 'scenes' / 'fit.yaml').read_text())
    name = saved['data']['class_path']
    assert name == 'dfc2020_geo.datamodules.SceneTrainingDataModule'


def test_a_saved_map_runs(folder: Path) -> None:
    checkpoint = folder / 'runs' / 'patches' / 'checkpoints' / 'checkpoint_step_1.pth'
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(OLD / 'patches.ckpt', checkpoint)
    main(['predict', '--config', str(OLD / 'scene_predict.yaml')])
    with rasterio.open(folder / 'runs' / 'old_map.tif') as raster:
        assert raster.shape == (96, 96)
        assert raster.read(1).any()


def test_names_in_flags_are_todays(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([
            'fit', '--data=dfc2020_geo.scene_training.SceneTrainingDataModule',
            '--data.train_s2=scenes/train/s2',
        ])  # fmt: skip
    assert 'name them with --data.train_s1' in capsys.readouterr().err


def test_a_config_of_a_later_format_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'later.yaml'
    path.write_text('# dfc2020-geo config, format 2\nseed_everything: 1\n')
    with pytest.raises(SystemExit):
        main(['fit', '--config', str(path)])
    assert 'format 1 or before, got 2 in' in capsys.readouterr().err


@pytest.mark.parametrize(
    'text',
    [
        'a0: &a0 [x, x]\n'
        + ''.join(f'a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n' for i in range(40)),
        'a: &a [*a]\n',
        'a: ' + '[' * 100_000,
    ],
    ids=['aliases of aliases', 'endless', 'deep'],
)
def test_yaml_that_grows_is_refused_at_once(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'bomb.yaml'
    path.write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(['fit', '--config', str(path)])
    assert stop.value.code == 1
    assert 'Expected a YAML file, got' in capsys.readouterr().err

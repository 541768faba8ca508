"""Each config states facts once, opens with its command, and trains."""

import shlex
from pathlib import Path

import pytest
import yaml

from dfc2020_geo.baseline.config import fit_config
from dfc2020_geo.baseline.training import build_parser
from dfc2020_geo.classes import get_scheme
from dfc2020_geo.cli.stages import LandCoverCLI
from dfc2020_geo.synthetic import write_scene
from tests.support import ROOT

#: Those that train; tests/test_inference.py has the one that maps scenes.
CONFIGS = sorted(
    path for path in (ROOT / 'configs').glob('*.yaml') if path.stem != 'scene'
)

configs = pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)


@configs
def test_config_opens_with_what_it_is_and_its_command(config: Path) -> None:
    comment = [
        line[2:] for line in config.read_text().splitlines() if line.startswith('# ')
    ]
    assert len(' '.join(comment[:-1])) > 60
    command = shlex.split(comment[-1])
    assert command == ['dfc2020-geo', 'fit', '--config', config.stem]


@configs
def test_config_states_what_follows_from_data_nowhere_else(config: Path) -> None:
    stated = yaml.safe_load(config.read_text())['model']['init_args']
    derived = {'bands', 'scheme', 'nan', 'in_channels', 'num_classes', 'labels'}
    assert not stated.keys() & derived


_PUBLISHED = (
    '--model deeplab --use_s2hr --use_s2mr --no_savanna --pretrained_backbone '
    '--out_stride 16 --lr 1e-3 --momentum 0.9 --weight_decay 5e-4 --batch_size 32 '
    '--max_epochs 1 --data_dir_train data/sen12ms --dataset_val dfc2020_val '
    '--data_dir_val data/dfc2020'
)

#: The baseline's flags: of its published networks, of its description's example, and
#: its defaults with the U-Net.
FLAGS = {
    'baseline_deeplabv3plus_s2': _PUBLISHED,
    'baseline_deeplabv3plus_s1s2': f'{_PUBLISHED} --use_s1',
    'baseline_example': (
        '--model deeplab --out_stride 16 --dataset_val sen12ms_holdout '
        '--data_dir_train data/sen12ms --data_dir_val data/sen12ms --val_freq 10000 '
        '--save_freq 1000 --use_s1 --use_s2hr --use_s2mr --use_s2lr --lr 1e-3 '
        '--momentum 0.9 --weight_decay 5e-4 --batch_size 8 --workers 4 --seed 1860 '
        '--no_savanna --log_freq 10 --pretrained_backbone --max_epochs 1'
    ),
    'baseline_unet': (
        '--model unet --use_s1 --use_s2hr --use_s2mr --no_savanna '
        '--data_dir_train data/sen12ms'
    ),
}


@pytest.mark.parametrize('name', FLAGS)
def test_a_config_of_the_baseline_is_what_its_flags_are(name: str) -> None:
    flags = f'{FLAGS[name]} --log_dir runs --experiment_name {name}'
    expected = fit_config(vars(build_parser().parse_args(flags.split())))
    (path,) = (config for config in CONFIGS if config.stem == name)
    assert yaml.safe_load(path.read_text()) == expected


def test_every_config_of_the_baseline_is_compared() -> None:
    stems = {config.stem for config in CONFIGS}
    assert {stem for stem in stems if stem.startswith('baseline_')} == {*FLAGS}


def _name_data(config: Path, baseline_tree: Path, folder: Path) -> list[str]:
    """Return the flags of the data that a config trains on."""
    if config.stem == 'scene_training':  # where the config looks for them
        for seed, split in enumerate(('train', 'val')):
            write_scene(folder / 'data' / 'scenes' / split, seed=seed, shape=(70, 90))
        return ['--data.patch_size=32', '--data.overlap=4', '--data.length=2']
    roots = {name: baseline_tree / name for name in ('sen12ms', 'dfc2020')}
    return [f'--data.{name}_root={path}' for name, path in roots.items()]


@configs
def test_config_trains_one_batch(
    config: Path, baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli = LandCoverCLI([
        'fit', '--config', config.stem,
        *_name_data(config, baseline_tree, tmp_path),
        '--data.batch_size=2', '--data.num_workers=0', '--model.weights=null',
        '--trainer.fast_dev_run=1', '--trainer.accelerator=cpu',
    ])  # fmt: skip
    assert cli.trainer.global_step == 1
    assert cli.model.hparams['num_classes'] == len(get_scheme(cli.datamodule.scheme))

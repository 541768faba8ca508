"""Each config states facts once, opens with its command, and trains."""

import shlex
from pathlib import Path

import pytest
import yaml

from dfc2020_geo.classes import get_scheme
from dfc2020_geo.stages import LandCoverCLI

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.yaml'))

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


@configs
def test_config_trains_one_batch(
    config: Path, baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli = LandCoverCLI([
        'fit', '--config', config.stem,
        f'--data.sen12ms_root={baseline_tree / "sen12ms"}',
        f'--data.dfc2020_root={baseline_tree / "dfc2020"}',
        '--data.batch_size=2', '--data.num_workers=0', '--model.weights=null',
        '--trainer.fast_dev_run=1', '--trainer.accelerator=cpu',
    ])  # fmt: skip
    assert cli.trainer.global_step == 1
    assert cli.model.hparams['num_classes'] == len(get_scheme(cli.datamodule.scheme))

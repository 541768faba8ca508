"""Two processes give what one gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio
import torch
from lightning.pytorch import Trainer

from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.main import main
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support.processes import TOGETHER, run_two

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def checkpoint(baseline_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('checkpoint') / 'tiny.ckpt'
    torch.manual_seed(0)
    task = LandCoverSegmentation(['s1'], model='fcn', num_filters=2)
    trainer = Trainer(
        accelerator='cpu',
        logger=False,
        enable_progress_bar=False,
        max_steps=2,
        enable_checkpointing=False,
    )
    data = LandCoverDataModule(
        sen12ms_root=baseline_tree / 'sen12ms', val='sen12ms_holdout', bands=['s1'],
        num_workers=0, batch_size=2,
    )  # fmt: skip
    trainer.fit(task, datamodule=data)
    trainer.save_checkpoint(path)
    return path


def _stage(stage: str, checkpoint: Path, tree: Path, *more: str) -> list[str]:
    return [
        stage, f'--ckpt_path={checkpoint}', f'--data.dfc2020_root={tree / "dfc2020"}',
        f'--data.unlabeled_root={tree / "tiffs"}', '--data.batch_size=2',
        '--data.num_workers=0', '--trainer.accelerator=cpu', '--trainer.logger=false',
        *more,
    ]  # fmt: skip


def test_scores_of_two_processes_are_those_of_one(
    checkpoint: Path, baseline_tree: Path, tmp_path: Path
) -> None:
    # Three patches: one of the two processes has one more to score.
    folders = [tmp_path / name for name in ('one', 'two')]
    outputs = [f'--scores.output_dir={folder}' for folder in folders]
    main(_stage('test', checkpoint, baseline_tree, outputs[0]))
    # As a user's command, by Lightning's launcher.
    command = _stage('test', checkpoint, baseline_tree, outputs[1], *TOGETHER)
    subprocess.run(
        [sys.executable, '-m', 'dfc2020_geo', *command],
        cwd=tmp_path,
        check=True,
        timeout=240,
    )
    one, two = (
        json.loads((folder / 'dfc2020_test.json').read_text()) for folder in folders
    )
    assert one == two
    assert one['pixels'] > 0


def test_two_processes_write_the_maps_of_one(
    checkpoint: Path, baseline_tree: Path, tmp_path: Path
) -> None:
    commands = [
        _stage(
            'predict', checkpoint, baseline_tree,
            f'--class_maps.output_dir={tmp_path / name}',
            f'--previews.output_dir={tmp_path / name}_previews',
        )
        for name in ('one', 'two')
    ]  # fmt: skip
    main(commands[0])
    run_two(main, tmp_path, *commands[1])
    names = sorted(path.name for path in (tmp_path / 'one').glob('*.tif'))
    assert len(names) == 3
    for name in names:
        with rasterio.open(tmp_path / 'one' / name) as raster:
            one = raster.read()
        with rasterio.open(tmp_path / 'two' / name) as raster:
            assert (raster.read() == one).all()
    assert json.loads((tmp_path / 'two' / 'run.json').read_text())['finished']

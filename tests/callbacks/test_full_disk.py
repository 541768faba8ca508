"""A full disk leaves no broken file under a final name, and the run is resumed."""

import contextlib
import os
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from dfc2020_geo.main import main
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support.processes import CONTEXT

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='has no such limit')

#: Bytes that no file may exceed. The record alone has some 2000, a class map 2500, the
#: probabilities 54000 and a preview 9000; below 600 nothing is written at all.
LIMITS = (0, 100, 600, 1500, 2300, 2560, 2600, 3000, 6000, 9000, 20_000, 54_000)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    task = LandCoverSegmentation(['s2-10m'], 'dfc2020', model='fcn', num_filters=2)
    trainer = Trainer(accelerator='cpu', logger=False, enable_checkpointing=False)
    trainer.strategy.connect(task)
    path = tmp_path_factory.mktemp('network') / 'model.ckpt'
    trainer.save_checkpoint(path, weights_only=True)
    return path


def _predict(folder: Path, checkpoint: Path, tree: Path, limit: int | None) -> None:
    """Predict in a folder, where no file may be larger than so many bytes."""
    import resource

    os.chdir(folder)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    command = ['predict', f'--ckpt_path={checkpoint}', '--data.num_workers=0']
    command += [f'--data.dfc2020_root={tree / "dfc2020"}', '--trainer.accelerator=cpu']
    command += ['--data.predict=dfc2020_test', '--trainer.logger=false']
    command += ['--class_maps.probabilities=true', '--scores.predictions=true']
    command += ['--scores.overwrite=true', '--scores.output_dir=scores']
    with (
        (folder.parent / f'{folder.name}.log').open('w') as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(sys.stdout),
    ):
        main(command)


def _run(
    folder: Path, checkpoint: Path, tree: Path, limit: int | None = None
) -> tuple[int | None, str]:
    folder.mkdir(exist_ok=True)
    process = CONTEXT.Process(target=_predict, args=(folder, checkpoint, tree, limit))
    process.start()
    process.join()
    log = folder.parent / f'{folder.name}.log'
    return process.exitcode, log.read_text()


def _read(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope='module')
def whole(
    checkpoint: Path, baseline_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp('whole') / 'run'
    assert _run(folder, checkpoint, baseline_tree)[0] == 0
    return _read(folder)


@pytest.mark.slow
@pytest.mark.parametrize('limit', LIMITS)
def test_a_full_disk_leaves_no_broken_file_and_the_run_is_resumed(
    whole: dict[str, bytes],
    checkpoint: Path,
    baseline_tree: Path,
    tmp_path: Path,
    limit: int,
) -> None:
    folder = tmp_path / 'run'
    status, said = _run(folder, checkpoint, baseline_tree, limit)
    final = {
        name: content
        for name, content in _read(folder).items()
        if not Path(name).name.startswith('run.')
    }
    assert final.items() <= whole.items()
    if max(map(len, whole.values())) > limit:
        assert status == 1
        # A limit too small for its own message leaves no log to read.
        assert 'free space' in said or limit < 600
    status, said = _run(folder, checkpoint, baseline_tree)
    assert status == 0, said
    assert _read(folder) == whole

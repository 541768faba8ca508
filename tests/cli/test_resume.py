"""A training that was stopped goes on, by its command, as if it had not been."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional

from dfc2020_geo.main import main
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support.processes import CONTEXT, run_two

# The training split has seven patches: three batches of two, for a remainder of one is
# dropped.
Fit = Callable[..., dict[int, Path]]


class DroppingSegmentation(LandCoverSegmentation):
    """A small network with dropout."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.dropout2d(x, 0.3, self.training))


def _config(tree: Path) -> dict[str, Any]:
    step = {'filename': '{step}', 'save_top_k': -1, 'every_n_train_steps': 1}
    checkpoint = {
        'class_path': 'lightning.pytorch.callbacks.ModelCheckpoint',
        'init_args': step | {'save_on_train_epoch_end': False},
    }
    return {
        'data': {
            'sen12ms_root': str(tree / 'sen12ms'),
            'val': 'sen12ms_holdout',
            'bands': ['s1'],
            'batch_size': 2,
            'num_workers': 0,
            'augmentations': [{'class_path': 'dfc2020_geo.transforms.RandomD4'}],
        },
        'model': {
            'class_path': f'{__name__}.DroppingSegmentation',
            'init_args': {'model': 'fcn', 'num_filters': 2, 'lr': 0.01},
        },
        'trainer': {
            'accelerator': 'cpu',
            'max_epochs': 2,
            'logger': False,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'callbacks': [checkpoint],
        },
    }


@pytest.fixture
def fit(baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Train in a folder; return its checkpoints by step."""
    config = tmp_path / 'run.yaml'
    config.write_text(yaml.safe_dump(_config(baseline_tree)))

    def fit(name: str, *flags: str, seed: int = 3) -> dict[int, Path]:
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        main(['fit', f'--config={config}', f'--seed_everything={seed}', *flags])
        paths = (folder / 'checkpoints').glob('*step=*.ckpt')
        return {int(p.stem.partition('step=')[2].partition('-')[0]): p for p in paths}

    return fit


def _read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def _same(one: Path, other: Path) -> bool:
    """Compare weights and momenta, bit by bit."""
    weights, others = _read(one)['state_dict'], _read(other)['state_dict']
    moments, theirs = (_read(p)['optimizer_states'][0]['state'] for p in (one, other))
    return all(torch.equal(weights[key], others[key]) for key in weights) and all(
        torch.equal(moments[i][key], theirs[i][key])
        for i in moments
        for key in moments[i]
    )


# Each of these could be what makes a resumed run differ.
SETTINGS: dict[str, list[str]] = {
    'epochs': [],
    'steps': ['--trainer.max_epochs=null', '--trainer.max_steps=5'],
    'validation': ['--trainer.val_check_interval=2'],
    'accumulation': ['--trainer.accumulate_grad_batches=2'],
    'short_batch': ['--data.batch_size=4'],
    'part': ['--trainer.limit_train_batches=2', '--trainer.limit_val_batches=0'],
    'reload': ['--trainer.reload_dataloaders_every_n_epochs=1'],
}


@pytest.mark.slow
@pytest.mark.parametrize('setting', SETTINGS)
def test_a_run_resumed_after_any_step_ends_as_the_whole(fit: Fit, setting: str) -> None:
    whole = fit('whole', *SETTINGS[setting])
    *steps, last = sorted(whole)
    assert len(steps) >= 3
    for step in steps:
        path = f'--ckpt_path={whole[step]}'
        resumed = fit(f'from_{step}', *SETTINGS[setting], path, seed=9)
        assert max(resumed) == last
        assert _same(whole[last], resumed[last]), step


@pytest.mark.slow
@pytest.mark.parametrize('step', [2, 3])
@pytest.mark.parametrize('workers', ['threads', 'processes'])
def test_workers_change_nothing(fit: Fit, step: int, workers: str) -> None:
    whole = fit('whole')
    flags = [f'--data.workers={workers}', '--data.num_workers=2']
    resumed = fit('rest', f'--ckpt_path={whole[step]}', *flags)
    assert _same(whole[6], resumed[6])


@pytest.mark.slow
def test_two_processes_go_on_with_their_batches(
    baseline_tree: Path, tmp_path: Path
) -> None:
    config = _config(baseline_tree)
    config['model']['class_path'] = 'dfc2020_geo.tasks.LandCoverSegmentation'
    config['data']['batch_size'] = 1
    config['trainer']['max_epochs'] = 1
    (tmp_path / 'run.yaml').write_text(yaml.safe_dump(config))
    resumed = tmp_path / 'whole' / 'checkpoints' / 'step=2.ckpt'
    for name, flags in {
        'whole': [],
        'rest': [f'--ckpt_path={resumed}', '--seed_everything=9'],
    }.items():
        (tmp_path / name).mkdir()
        run_two(main, tmp_path / name, 'fit', '--config=../run.yaml', *flags)
    whole, rest = (tmp_path / n / 'checkpoints/step=4.ckpt' for n in ('whole', 'rest'))
    assert _same(whole, rest)


@pytest.mark.slow
def test_dropout_inside_a_network_goes_on(fit: Fit) -> None:
    path = 'dfc2020_geo.tasks.LandCoverSegmentation'
    flags = [
        f'--model={path}', '--model.model=deeplabv3+', '--model.backbone=resnet18',
        '--model.num_filters=3', '--trainer.limit_val_batches=0',
    ]  # fmt: skip
    whole = fit('whole', *flags)
    resumed = fit('rest', *flags, f'--ckpt_path={whole[2]}', seed=9)
    assert _same(whole[6], resumed[6])


def test_the_rest_of_an_epoch_is_drawn_from_the_checkpoints_seed(fit: Fit) -> None:
    whole = fit('whole', '--trainer.max_epochs=1')
    state = _read(whole[1])['LandCoverDataModule']
    assert state['epoch'] == 0
    other = fit('other', '--trainer.max_epochs=1', seed=9)
    assert not _same(whole[3], other[3])
    rest = fit('rest', '--trainer.max_epochs=1', f'--ckpt_path={whole[1]}', seed=9)
    assert _same(whole[3], rest[3])
    assert _read(rest[3])['LandCoverDataModule'] == state


@pytest.mark.parametrize('stop', [2, 3])
def test_a_run_stopped_by_max_steps_goes_on_to_more(fit: Fit, stop: int) -> None:
    steps = '--trainer.max_epochs=null', '--trainer.callbacks=null'
    whole = fit('whole', *steps, '--trainer.max_steps=5')
    part = fit('part', *steps, f'--trainer.max_steps={stop}')
    rest = fit('rest', *steps, '--trainer.max_steps=5', f'--ckpt_path={part[stop]}')
    assert _same(whole[5], rest[5])


def test_a_checkpoint_without_an_order_is_gone_on_with(fit: Fit) -> None:
    whole = fit('whole')
    checkpoint = _read(whole[2])
    del checkpoint['LandCoverDataModule']
    del checkpoint['loops']['fit_loop']['state_dict']['combined_loader']
    torch.save(checkpoint, whole[2])
    rest = fit('rest', f'--ckpt_path={whole[2]}', seed=9)
    assert sorted(rest) == [3, 4, 5, 6]


def test_other_batches_are_refused_in_the_middle_of_an_epoch(
    fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fit('whole', '--trainer.max_epochs=1')
    other = '--data.batch_size=3'
    with pytest.raises(SystemExit):
        fit('middle', other, f'--ckpt_path={whole[1]}')
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'Expected batch_size=2 as in the checkpoint, got 3' in error
    assert max(fit('end', other, f'--ckpt_path={whole[3]}')) == 5


def test_nothing_is_said_of_loaders_that_cannot_be_resumed(
    fit: Fit, recwarn: pytest.WarningsRecorder
) -> None:
    whole = fit('whole', '--trainer.max_epochs=1')
    fit('rest', '--trainer.max_epochs=1', f'--ckpt_path={whole[2]}')
    assert not [w for w in recwarn if 'not resumable' in str(w.message)]


def test_last_is_the_newest_whole_checkpoint(
    fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = fit('whole')
    flags = f'--trainer.default_root_dir={tmp_path / "whole"}', '--ckpt_path=last'
    # Of the last two, one is cut off, as a full disk used to leave it; one is empty.
    for step, size in ((5, 3000), (6, 0)):
        os.truncate(whole[step], size)
        os.utime(whole[step])
    again = fit('rest', *flags)
    assert not again
    (resumed,) = (tmp_path / 'whole/checkpoints').glob('step=6-v1.ckpt')
    assert 'step=4.ckpt, the newest whole checkpoint' in caplog.text
    assert caplog.text.count('is damaged or incomplete') == 2
    reference = fit('reference', f'--ckpt_path={whole[4]}')
    assert _same(resumed, reference[6])


def _train(args: list[str]) -> None:
    if Path('/dev/shm').is_dir():
        # Another file system for temporary files, as in containers and on clusters.
        os.environ['TMPDIR'] = '/dev/shm'
    main(args)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_the_whole(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [
        '--model=dfc2020_geo.tasks.LandCoverSegmentation', '--model.model=fcn',
        '--model.num_filters=2', '--model.lr=0.01', '--trainer.max_epochs=4',
    ]  # fmt: skip
    whole = fit('whole', *flags)
    folder = tmp_path / 'killed'
    folder.mkdir()
    monkeypatch.chdir(folder)
    run = f'--config={tmp_path / "run.yaml"}', '--seed_everything=3', *flags
    command = ['fit', *run, '--ckpt_path=last']
    draw = random.Random(0)
    saved: list[int] = []
    while len(saved) < 6:
        process = CONTEXT.Process(target=_train, args=(command,))
        process.start()
        while process.is_alive() and len([*folder.rglob('*.ckpt')]) <= len(saved):
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.03))
        process.kill()
        process.join()
        # Each can be read, whenever that was.
        saved = [_read(path)['global_step'] for path in folder.rglob('*.ckpt')]
    main(command)
    (last,) = (p for p in folder.rglob('*.ckpt') if _read(p)['global_step'] == 12)
    assert _same(whole[12], last)


@pytest.mark.parametrize('step', [3, 4])
def test_a_run_resumed_twice_ends_as_the_whole(fit: Fit, step: int) -> None:
    whole = fit('whole', '--trainer.max_epochs=3')
    flags = '--trainer.max_epochs=3', '--seed_everything=9'
    once = fit('once', *flags, f'--ckpt_path={whole[step]}')
    twice = fit('twice', *flags, f'--ckpt_path={once[step + 1]}')
    assert max(twice) == 9
    assert _same(whole[9], twice[9])

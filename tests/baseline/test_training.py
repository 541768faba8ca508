"""train.py: its flags, its files, and going on with them."""

import math
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dfc2020_geo.baseline.arguments import ARGUMENTS
from dfc2020_geo.baseline.pickles import read_arguments
from dfc2020_geo.baseline.training import (
    build_parser,
    check_arguments,
    describe_ignored,
    main,
)
from dfc2020_geo.main import main as run_command
from dfc2020_geo.models import build_network
from tests.support import ROOT

#: The command of the baseline's description.
EXAMPLE = (
    '--experiment_name demo --model deeplab --out_stride 16 '
    '--dataset_val sen12ms_holdout --data_dir_train /mnt/data '
    '--data_dir_val /mnt/data --log_dir /mnt/logs --val_freq 10000 '
    '--save_freq 1000 --use_s1 --use_s2hr --use_s2mr --use_s2lr --lr 1e-3 '
    '--momentum 0.9 --weight_decay 5e-4 --batch_size 8 --workers 4 --seed 1860 '
    '--no_savanna --log_freq 10 --pretrained_backbone --max_epochs 1'
)

#: Seven patches in batches of three, the last one dropped: two steps an epoch.
SMALL = [
    '--model',
    'unet',
    '--use_s1',
    '--use_s2hr',
    '--no_savanna',
    '--batch_size',
    '3',
    '--workers',
    '0',
    '--max_epochs',
    '2',
    '--val_freq',
    '2',
    '--save_freq',
    '3',
    '--log_freq',
    '2',
    '--lr',
    '1e-4',
    '--seed',
    '3',
]


@pytest.fixture(scope='module')
def folder(baseline_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which train.py has run; training data and holdout lie apart."""
    folder = tmp_path_factory.mktemp('train')
    train, val = folder / 'train', folder / 'val'
    for place in (train, val):
        place.symlink_to(baseline_tree / 'sen12ms')
    paths = [f'--data_dir_train={train}', f'--data_dir_val={val}']
    main([*SMALL, *paths, f'--log_dir={folder / "logs"}', '--experiment_name=small'])
    return folder


def _run(folder: Path) -> Path:
    return folder / 'logs' / 'small'


@pytest.mark.slow
def test_checkpoints_count_the_steps_and_the_last_one_is_saved(folder: Path) -> None:
    names = {path.name for path in (_run(folder) / 'checkpoints').iterdir()}
    assert names == {'checkpoint_step_3.pth', 'checkpoint_step_4.pth', 'args.pkl'}


@pytest.mark.slow
def test_a_checkpoint_is_one_of_the_baseline(folder: Path) -> None:
    path = _run(folder) / 'checkpoints' / 'checkpoint_step_3.pth'
    content = torch.load(path, weights_only=True)
    network = build_network('baseline-unet', in_channels=6, num_classes=9)
    network.load_state_dict(content['model_state_dict'])
    assert content['step'] == 3
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-4, weight_decay=5e-4)
    optimizer.load_state_dict(content['optimizer_state_dict'])
    state = optimizer.state_dict()['state']
    assert {int(values['step']) for values in state.values()} == {3}


@pytest.mark.slow
def test_the_baselines_entries_take_no_room(folder: Path) -> None:
    path = _run(folder) / 'checkpoints' / 'checkpoint_step_3.pth'
    content = torch.load(path, weights_only=True)
    for name, tensor in content['model_state_dict'].items():
        other = content['state_dict'][f'model.{name}']
        assert tensor.data_ptr() == other.data_ptr()
    size = sum(t.numel() * t.element_size() for t in content['state_dict'].values())
    # The network and the one running mean that RMSprop keeps of each parameter.
    assert path.stat().st_size < 2.05 * size


@pytest.mark.slow
def test_args_pkl_has_every_argument(folder: Path) -> None:
    checkpoints = _run(folder) / 'checkpoints'
    arguments = read_arguments(checkpoints / 'args.pkl')
    assert list(arguments) == list(ARGUMENTS)
    given = vars(build_parser().parse_args(SMALL))
    for name, value in given.items():
        if not name.startswith('data_dir') and name not in (
            'log_dir',
            'experiment_name',
        ):
            assert arguments[name] == value
    assert arguments['checkpoint_dir'] == str(checkpoints)
    assert arguments['use_gpu'] == torch.cuda.is_available()


@pytest.mark.slow
def test_the_holdout_is_read_where_it_is(folder: Path) -> None:
    settings = yaml.safe_load((_run(folder) / 'fit.yaml').read_text())
    data = settings['data']['init_args']
    assert data['sen12ms_root'] == str(folder / 'train')
    assert data['val_root'] == str(folder / 'val')


@pytest.mark.slow
def test_losses_and_scores_are_logged(folder: Path) -> None:
    (path,) = _run(folder).rglob('metrics.csv')
    header, *rows = (line.split(',') for line in path.read_text().splitlines())
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    steps = [
        s for s, v in zip(columns['step'], columns['train/loss'], strict=True) if v
    ]
    assert steps == ['1', '2', '3', '4']
    scores = [float(value) for value in columns['sen12ms_holdout/AA'] if value]
    assert len(scores) == 2
    assert all(0 <= score <= 1 for score in scores)
    assert not any(math.isnan(float(v)) for v in columns['train/loss'] if v)
    assert list(_run(folder).glob('events.out.tfevents.*'))


@pytest.mark.slow
def test_another_run_does_not_replace_checkpoints(folder: Path) -> None:
    before = {p: p.read_bytes() for p in (_run(folder) / 'checkpoints').iterdir()}
    paths = [f'--data_dir_train={folder / "train"}', f'--log_dir={folder / "logs"}']
    with pytest.raises(FileExistsError, match=r'got 2 in .*another --experiment_name'):
        main([*SMALL, *paths, '--experiment_name=small', '--lr=1e-3'])
    assert {p: p.read_bytes() for p in before} == before


def test_the_newest_checkpoint_is_the_one_to_go_on_with(tmp_path: Path) -> None:
    checkpoints = tmp_path / 'logs' / 'experiment' / 'checkpoints'
    checkpoints.mkdir(parents=True)
    for step in (500, 1000, 90):
        (checkpoints / f'checkpoint_step_{step}.pth').touch()
    paths = [f'--data_dir_train={tmp_path}', f'--log_dir={tmp_path / "logs"}']
    with pytest.raises(FileExistsError, match=r'--ckpt_path \S+_step_1000\.pth$'):
        main(['--use_s1', *paths])


def test_a_root_without_patches_is_named_by_its_flag(tmp_path: Path) -> None:
    paths = [f'--data_dir_train={tmp_path}', f'--log_dir={tmp_path / "logs"}']
    expected = (
        r'got only logs.*\(--data_dir_train .*, --data_dir_val the one of sen12ms_'
    )
    with pytest.raises(FileNotFoundError, match=expected):
        main(['--model=unet', '--use_s1', *paths])


def test_paths_of_the_home_directory_are_found_behind_an_equals_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    given = build_parser().parse_args(['--log_dir=~/logs', '--data_dir_train=~/data'])
    assert given.log_dir == str(tmp_path / 'logs')
    assert given.data_dir_train == str(tmp_path / 'data')


@pytest.mark.slow
def test_training_goes_on_with_its_settings(folder: Path) -> None:
    run = _run(folder)
    before = {path: path.read_bytes() for path in run.rglob('*') if path.is_file()}
    run_command([
        'fit', f'--config={run / "fit.yaml"}', '--trainer.max_epochs=3',
        f'--ckpt_path={run / "checkpoints" / "checkpoint_step_3.pth"}',
    ])  # fmt: skip
    assert {path: path.read_bytes() for path in before} == before
    content = torch.load(
        run / 'checkpoints' / 'checkpoint_step_6.pth', weights_only=True
    )
    assert content['global_step'] == content['step'] == 6
    assert (run / 'fit-2.yaml').exists()


@pytest.mark.slow
def test_the_command_scores_the_checkpoint(
    folder: Path, baseline_tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _run(folder) / 'checkpoints' / 'checkpoint_step_4.pth'
    run_command([
        'test', f'--ckpt_path={path}', '--trainer.logger=false', '--data.num_workers=0',
        f'--data.dfc2020_root={baseline_tree / "dfc2020"}',
        f'--scores.output_dir={folder / "scores"}',
    ])  # fmt: skip
    assert 'mIoU_all' in capsys.readouterr().out


def test_the_flags_and_defaults_are_the_baselines() -> None:
    given = vars(build_parser().parse_args([]))
    extra = {'use_gpu', 'checkpoint_dir'}
    assert given == {n: value for n, value in ARGUMENTS.items() if n not in extra}
    assert 'runs/id' in build_parser().format_help()


def test_the_example_of_the_description_is_understood() -> None:
    given = vars(build_parser().parse_args(EXAMPLE.split()))
    assert given['experiment_name'] == 'demo'
    assert (given['lr'], given['weight_decay'], given['seed']) == (1e-3, 5e-4, 1860)
    assert all(given[f'use_{name}'] for name in ('s1', 's2hr', 's2mr', 's2lr'))
    assert list(describe_ignored(given)) == []


@pytest.mark.parametrize(
    ('flags', 'expected'),
    [
        ('', 'Expected one or more of --use_s1, --use_s2hr, --use_s2mr, --use_s2lr'),
        ('--use_s1 --val_freq 0', 'Expected --val_freq from 1, got 0'),
        ('--use_s1 --save_freq -1', 'Expected --save_freq from 1, got -1'),
        ('--use_s1 --log_freq 0', 'Expected --log_freq from 1, got 0'),
        ('--use_s1 --max_epochs 0', 'Expected --max_epochs from 1, got 0'),
        ('--use_s1 --workers -1', 'Expected --workers from 0, got -1'),
        ('--use_s1 --lr nan', 'Expected --lr from 0, got nan'),
        ('--use_s1 --lr inf', 'Expected --lr from 0, got inf'),
        ('--use_s1 --seed -5', 'Expected --seed from 0 to 4294967295, got -5'),
        ('--use_s1 --seed 4294967296', 'to 4294967295, got 4294967296'),
        ('--use_s1 --batch_size 1', 'Expected --batch_size 2 or more for deeplab'),
        (
            '--use_s1 --dataset_val dfc2020_val',
            '--data_dir_val, the directory of dfc2020',
        ),
        ('--use_s1 --data_dir_val no', '--data_dir_val to be a directory, got no'),
        ('--use_s1 --data_dir_train no', '--data_dir_train to be a directory, got no'),
    ],
)
def test_contradictions_are_named_before_any_work(
    flags: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=expected):
        main(['--data_dir_train', '.', *flags.split()])
    assert list(tmp_path.iterdir()) == []


def test_the_training_set_is_asked_for() -> None:
    with pytest.raises(
        ValueError, match=r'Expected --data_dir_train, the directory of'
    ):
        main(['--use_s1'])


def test_a_unet_may_have_batches_of_one() -> None:
    values = ARGUMENTS | {'model': 'unet', 'batch_size': 1, 'data_dir_train': '.'}
    check_arguments(values)


def test_what_is_ignored_is_said() -> None:
    values: dict[str, Any] = ARGUMENTS | {'data_dir_train': 'here', 'model': 'unet'}
    (fallback,) = describe_ignored(values)
    assert fallback == 'No --data_dir_val: validating in here.'
    values |= {'pretrained_backbone': True, 'out_stride': 8, 'data_dir_val': 'there'}
    first, second = describe_ignored(values)
    assert first.startswith('Ignored --pretrained_backbone: it is for --model deeplab')
    assert second.startswith('Ignored --out_stride')
    assert list(describe_ignored(values | {'model': 'deeplab'})) == []


def test_the_script_says_what_is_wrong_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / 'scripts' / 'train.py'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(script), '--use_s1'])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(script), run_name='__main__')
    assert stopped.value.code == 1
    assert capsys.readouterr().err.strip() == (
        'train.py: error: Expected --data_dir_train, the directory of SEN12MS, got none.'
    )

"""What belongs to a machine changes how a network is computed, not what it learns."""

import contextlib
import csv
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dfc2020_geo.main import main
from dfc2020_geo.tasks import LandCoverSegmentation
from dfc2020_geo.tasks.acceleration import SWITCHES
from tests.support.processes import run_two
from tests.support.quiet_trainer import QUIET

ALL: dict[str, Any] = dict.fromkeys(SWITCHES, True)
Fit = Callable[..., tuple[Tensor, Path]]

#: Traces a network as always, and leaves out the minute of making code of it.
QUICK: Any = functools.partialmethod(nn.Module.compile, backend='aot_eager')


@pytest.fixture
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, 'compile', QUICK)
    torch._dynamo.reset()


def _main_quickly(args: list[str]) -> None:
    """Run the command in a process of its own."""
    nn.Module.compile = QUICK
    main(args)


def _config(tree: Path) -> dict[str, Any]:
    return {
        'data': {
            'sen12ms_root': str(tree / 'sen12ms'),
            'val': 'sen12ms_holdout',
            'bands': ['s1'],
            'batch_size': 2,
            'num_workers': 0,
        },
        'model': {
            'model': 'unet',
            'backbone': 'tu-test_resnet',
            'lr': 0.002,
            # Adam makes the last bits of small gradients into whole steps.
            'optimizer': {
                'class_path': 'torch.optim.SGD',
                'init_args': {'momentum': 0.9},
            },
        },
        'trainer': {
            'accelerator': 'cpu',
            'max_epochs': 2,
            'log_every_n_steps': 1,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'limit_val_batches': 0,
            'logger': {
                'class_path': 'lightning.pytorch.loggers.CSVLogger',
                'init_args': {'save_dir': '.', 'name': '', 'version': ''},
            },
        },
    }


@pytest.fixture
def fit(baseline_tree: Path, tmp_path: Path) -> Fit:
    """Train by the command; return the loss of each step and the checkpoint."""

    def fit(name: str, *flags: str) -> tuple[Tensor, Path]:
        return _fit(baseline_tree, tmp_path / name, *flags)

    return fit


@pytest.fixture(scope='module')
def plain(
    baseline_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tensor, Path]:
    """The losses and the checkpoint of a training without switches."""
    return _fit(baseline_tree, tmp_path_factory.mktemp('plain') / 'run')


def _fit(tree: Path, folder: Path, *flags: str) -> tuple[Tensor, Path]:
    folder.mkdir()
    (folder / 'run.yaml').write_text(yaml.safe_dump(_config(tree)))
    with contextlib.chdir(folder):
        main(['fit', '--config=run.yaml', *flags])
    (path,) = (folder / 'checkpoints').glob('*.ckpt')
    return _losses(folder), path


def _losses(folder: Path) -> Tensor:
    with (folder / 'metrics.csv').open(newline='') as table:
        losses = [row.get('train_loss') for row in csv.DictReader(table)]
    return torch.tensor([float(loss) for loss in losses if loss])


def _weights(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)['state_dict']


@pytest.mark.usefixtures('quick_compiler')
@pytest.mark.parametrize(
    ('flags', 'tolerance'),
    [
        (['--model.activation_checkpointing=true'], 0),
        (['--model.channels_last=true'], 1e-3),
        (['--trainer.precision=bf16-mixed'], 0.03),
        (['--trainer.precision=64-true'], 1e-3),
        pytest.param(['--model.compile=true'], 1e-3, marks=pytest.mark.slow),
        pytest.param(
            [f'--model.{name}=true' for name in SWITCHES],
            1e-3,
            marks=pytest.mark.exhaustive,
        ),
    ],
    ids=['checkpointing', 'channels_last', 'bf16', '64', 'compile', 'all'],
)
def test_a_switch_keeps_the_losses(
    fit: Fit, plain: tuple[Tensor, Path], flags: list[str], tolerance: float
) -> None:
    losses, path = plain
    others, other = fit('switched', *flags)
    assert len(losses) == 6
    torch.testing.assert_close(others, losses, rtol=tolerance, atol=0)
    weights, theirs = _weights(path), _weights(other)
    assert list(weights) == list(theirs)
    assert _counted(weights) == _counted(theirs) == {6}


def _counted(weights: dict[str, Tensor]) -> set[float]:
    """Return how many batches batch normalisation has seen."""
    counts = [name for name in weights if name.endswith('num_batches_tracked')]
    return {weights[name].item() for name in counts}


@pytest.mark.slow
def test_machine_code_keeps_the_losses(fit: Fit) -> None:
    # The fewest layers; those of other networks are traced above.
    small = [
        *('--model.model=fcn', '--model.num_filters=2'),
        *('--model.lr=0.3', '--trainer.max_steps=3'),
    ]
    losses, _ = fit('plain', *small)
    others, _ = fit('compiled', *small, '--model.compile=true')
    torch.testing.assert_close(others, losses, rtol=1e-3, atol=0)
    assert losses[-1] < 0.99 * losses[0]


@pytest.mark.slow
@pytest.mark.usefixtures('quick_compiler')
def test_a_training_goes_on_with_other_switches(
    fit: Fit, plain: tuple[Tensor, Path]
) -> None:
    flags = [f'--model.{name}=true' for name in SWITCHES]
    whole, _ = plain
    _, path = fit('first', '--trainer.max_epochs=1', *flags)
    rest, _ = fit('rest', f'--ckpt_path={path}')
    torch.testing.assert_close(rest, whole[3:], rtol=1e-3, atol=0)
    _, path = fit('first_plain', '--trainer.max_epochs=1')
    rest, _ = fit('switched', f'--ckpt_path={path}', *flags)
    torch.testing.assert_close(rest, whole[3:], rtol=1e-3, atol=0)


def _save(path: Path, **switches: Any) -> LandCoverSegmentation:
    torch.manual_seed(0)
    task = LandCoverSegmentation(['s1'], backbone='tu-test_resnet', **switches)
    trainer = Trainer(**QUIET)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path, weights_only=True)
    return task


@pytest.mark.usefixtures('quick_compiler')
@pytest.mark.parametrize(('kept', 'asked'), [({}, ALL), (ALL, {})])
@torch.no_grad()
def test_a_checkpoint_does_not_say_how_to_compute(
    tmp_path: Path, kept: dict[str, bool], asked: dict[str, bool]
) -> None:
    path = tmp_path / 'any.ckpt'
    task = _save(path, **kept)
    assert not {*SWITCHES} & {*torch.load(path, weights_only=True)['hyper_parameters']}
    again = LandCoverSegmentation.load_from_checkpoint(path, weights_only=True, **asked)
    assert {name: again.hparams[name] for name in SWITCHES} == (
        dict.fromkeys(SWITCHES, False) | asked
    )
    assert again.contract == task.contract
    images = torch.rand(2, 2, 40, 33)
    torch.testing.assert_close(
        again.eval()(images), task.eval()(images), rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.usefixtures('quick_compiler')
@torch.no_grad()
def test_votes_are_the_same_with_all_switches(tmp_path: Path) -> None:
    path = tmp_path / 'member.ckpt'
    _save(path)
    answers = []
    for switches in ({}, ALL):
        torch.manual_seed(5)
        task = LandCoverSegmentation(
            ['s1'],
            backbone='tu-test_resnet',
            tta=True,
            ensemble=[str(path)],
            **switches,
        ).eval()
        task.trainer = Trainer(**QUIET)
        task.setup('predict')
        torch.manual_seed(6)
        answers.append(task(torch.rand(1, 2, 20, 33)))
        (member,) = task.members
        assert all(member.hparams[name] == bool(switches) for name in SWITCHES)
    torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-4)


@pytest.mark.exhaustive
@torch.no_grad()
def test_sizes_do_not_compile_a_network_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch._dynamo.reset()
    compiled: list[int] = []

    def count(graph: torch.fx.GraphModule, _: Any) -> Any:
        compiled.append(1)
        return graph

    counting = functools.partialmethod(nn.Module.compile, backend=count)
    monkeypatch.setattr(nn.Module, 'compile', counting)
    task = LandCoverSegmentation(
        ['s1'], backbone='tu-test_resnet', tta=True, compile=True
    ).eval()
    for batch, height, width in [(2, 64, 64), (2, 96, 64), (1, 45, 70), (3, 100, 90)]:
        task(torch.rand(batch, 2, height, width))
    so_far = len(compiled)
    assert 1 <= so_far <= 5
    for batch, height, width in [
        (2, 128, 160),
        (5, 77, 65),
        (4, 200, 99),
        (7, 64, 250),
    ]:
        task(torch.rand(batch, 2, height, width))
    assert len(compiled) == so_far


def _gradient(images: Tensor, mask: Tensor, batch_size: int) -> Tensor:
    """Train by one update of plain SGD; return what was subtracted, per rate."""
    torch.manual_seed(0)
    task = LandCoverSegmentation(
        ['s1'],
        model='fcn',  # without batch normalisation
        num_filters=2,
        lr=1.0,
        optimizer=torch.optim.SGD,
    )
    before = nn.utils.parameters_to_vector(task.parameters()).detach().clone()
    samples: Any = [
        {'image': one, 'mask': other} for one, other in zip(images, mask, strict=True)
    ]
    trainer = Trainer(**QUIET, accumulate_grad_batches=len(images) // batch_size)
    trainer.fit(task, DataLoader(samples, batch_size))
    assert trainer.global_step == 1
    return before - nn.utils.parameters_to_vector(task.parameters()).detach()


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_accumulated_batches_are_a_large_one_if_as_many_pixels_count() -> None:
    torch.manual_seed(1)
    images, mask = torch.rand(4, 2, 8, 8), torch.randint(10, (4, 8, 8))
    mask[:, 0] = 255  # as many in each
    whole = _gradient(images, mask, 4)
    torch.testing.assert_close(_gradient(images, mask, 2), whole)
    # The loss is a mean over the pixels of a batch, so batches count alike, not pixels.
    mask[2:, 1:7] = 255
    halves = [_gradient(images[part], mask[part], 2) for part in ([0, 1], [2, 3])]
    accumulated = _gradient(images, mask, 2)
    torch.testing.assert_close(accumulated, (halves[0] + halves[1]) / 2)
    whole = _gradient(images, mask, 4)
    assert not torch.allclose(accumulated, whole, rtol=1e-2)
    counts = [(mask[part] != 255).sum() for part in ([0, 1], [2, 3])]
    weighted = (halves[0] * counts[0] + halves[1] * counts[1]) / sum(counts)
    torch.testing.assert_close(whole, weighted)


@pytest.mark.slow
@pytest.mark.parametrize(
    'switches',
    [
        ['activation_checkpointing'],
        pytest.param(
            ['compile', 'activation_checkpointing'], marks=pytest.mark.exhaustive
        ),
    ],
)
def test_two_processes_train_the_same_with_switches(
    baseline_tree: Path, tmp_path: Path, switches: list[str]
) -> None:
    config = _config(baseline_tree)
    config['data']['batch_size'] = 1
    config['trainer']['max_steps'] = 2
    (tmp_path / 'run.yaml').write_text(yaml.safe_dump(config))
    flags = [f'--model.{name}=true' for name in switches]
    ends = []
    for name, more in {'plain': [], 'switched': flags}.items():
        (tmp_path / name).mkdir()
        run_two(_main_quickly, tmp_path / name, 'fit', '--config=../run.yaml', *more)
        (path,) = (tmp_path / name / 'checkpoints').glob('*.ckpt')
        ends.append((_losses(tmp_path / name), _weights(path)))
    (losses, weights), (others, theirs) = ends
    torch.testing.assert_close(others, losses, rtol=1e-3, atol=0)
    assert _counted(weights) == _counted(theirs) == {2}
    if 'compile' not in switches:
        assert all(torch.equal(weights[name], theirs[name]) for name in weights)

"""What cannot be done is refused in one line, with its cause, and never a traceback."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dfc2020_geo.main import main, run_plainly
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support.hostile import REAL

#: Exit status and the line of the error.
Run = Callable[..., tuple[Any, str]]

QUICK = ('--trainer.accelerator=cpu', '--trainer.enable_progress_bar=false')
QUICK += ('--trainer.logger=false', '--data.num_workers=0', '--trainer.max_epochs=2')
FIT = ('--data.bands=[s1]', '--model.model=fcn', '--model.num_filters=2')


@pytest.fixture
def run(
    baseline_tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.chdir(tmp_path)
    names = {'dfc2020': 'dfc2020', 'sen12ms': 'sen12ms', 'unlabeled': 'tiffs'}
    roots = [f'--data.{k}_root={baseline_tree / v}' for k, v in names.items()]

    def run(verb: str, *args: Any, program: Any = main) -> tuple[Any, str]:
        with pytest.raises(SystemExit) as stop:
            program([verb, *roots, *QUICK, *(str(a) for a in args)])
        said = capsys.readouterr().err
        assert 'Traceback' not in said
        (line,) = [line for line in said.splitlines() if 'error: ' in line]
        return stop.value.code, line

    return run


@pytest.mark.parametrize(
    ('flag', 'reason'),
    [
        ('trainer.devices=999', 'Expected at most 64 devices, got 999'),
        ('trainer.devices=0', 'trainer.devices=0 (flag'),
        ('trainer.accelerator=quantum', "invalid accelerator name: `accelerator='quan"),
        ('trainer.accelerator=tpu', 'trainer.accelerator=tpu (flag'),
        ('trainer.strategy=foo', "invalid strategy name: `strategy='foo'`"),
        ('trainer.strategy=fsdp', 'requires a GPU accelerator'),
        ('trainer.val_check_interval=1000', 'number of the training batches'),
        ('trainer.val_check_interval=0', 'limit_val_batches 0 leaves validation out'),
        ('trainer.accumulate_grad_batches=0', 'to be a number from 1, got 0'),
        ('trainer.check_val_every_n_epoch=0', 'to be a number from 1, got 0'),
        ('trainer.gradient_clip_val=-1', 'to be a number from 0, got -1'),
        ('trainer.max_time=soon', 'trainer.max_time=soon (flag --trainer.max_time)'),
        (
            (
                'trainer.callbacks=[{"class_path": "lightning.pytorch.callbacks.'
                'ModelCheckpoint", "init_args": {"save_top_k": -5}}]'
            ),
            'Invalid value for save_top_k=-5',
        ),
        ('seed_everything=-1', 'to be a number from 0 to 4294967295, got -1'),
    ],
    ids=lambda value: value.partition('=')[0],
)
def test_settings_that_no_machine_can_do_are_named(
    run: Run, flag: str, reason: str
) -> None:
    status, line = run('fit', *FIT, f'--{flag}')
    assert status == 2
    assert reason in line


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is one')
def test_a_gpu_that_is_not_there_is_missed_in_one_line(run: Run) -> None:
    for verb, flags in {'fit': FIT, 'predict': (f'--ckpt={REAL}',)}.items():
        status, line = run(verb, *flags, '--trainer.accelerator=gpu')
        assert status == 2
        assert 'trainer.accelerator=gpu (flag --trainer.accelerator)' in line


NUMBERS: dict[str, list[Any]] = {
    'lr': [-1, 0, 1e300],
    'backbone_lr': [-1],
    'patience': [-1],
    'num_filters': [0, -1],
    'class_weights': [[-1] * 10, [float('nan')] * 10, [0] * 10, [float('inf')] * 10],
}


@pytest.mark.parametrize('name', NUMBERS)
def test_numbers_that_make_no_sense_are_refused(run: Run, name: str) -> None:
    for value in NUMBERS[name]:
        with pytest.raises(ValueError, match='Expected'):
            LandCoverSegmentation(['s1'], model='fcn', **{name: value})
        text = str(value).replace('nan', '.nan').replace('inf', '.inf')
        status, line = run('fit', *FIT, f'--model.{name}={text}')
        assert status == 1
        assert f'Expected {name.replace("_weights", " weights")}' in line
    if name != 'patience':
        with pytest.raises(ValueError, match='Expected'):
            LandCoverSegmentation(['s1'], model='fcn', **{name: [1j] * 10})


def test_a_network_larger_than_memory_is_refused(run: Run) -> None:
    status, line = run('fit', '--data.bands=[s1]', '--model.model=fcn',
                       '--model.num_filters=10000000')  # fmt: skip
    assert status == 1
    assert 'Expected a run that fits into memory' in line


def _weights(change: Callable[[torch.Tensor], Any]) -> Callable[[Any], None]:
    def apply(checkpoint: Any) -> None:
        weights = checkpoint['state_dict']
        name = next(iter(weights))
        weights[name] = change(weights[name])

    return apply


#: Changes of a checkpoint, and what is said of it; whether resuming alone minds.
CHANGES: dict[str, tuple[Callable[[Any], Any], str, bool]] = {
    'missing': (lambda c: c['state_dict'].popitem(), 'got no model.', False),
    'extra': (lambda c: c['state_dict'].update(foo=torch.ones(1)), 'unknown foo', False),
    'shape': (_weights(lambda w: w[:1]), 'of shape', False),
    'text': (_weights(lambda w: 'text'), 'no real numbers in', False),
    'complex': (_weights(lambda w: w.to(torch.complex64)), 'no real numbers', False),
    'whole': (_weights(lambda w: w.int()), 'torch.int32, not torch.float32', False),
    'nan': (_weights(lambda w: w * float('nan')), 'NaN or infinity in', False),
    'infinite': (_weights(lambda w: w / 0), 'NaN or infinity in', False),
    'no weights': (lambda c: c['state_dict'].clear(), 'got no model.', False),
    'no state': (lambda c: c.pop('state_dict'), 'without state_dict', False),
    'callbacks': (lambda c: c.update(callbacks=5), 'callbacks is int, not dict', False),
    'version': (lambda c: c.pop('pytorch-lightning_version'), 'the version of', False),
    'rate': (lambda c: c['hyper_parameters'].update(lr='fast'), 'Got value: fast', False),
    'no optimiser': (lambda c: c.pop('optimizer_states'), 'optimizer_states', True),
    'optimiser': (lambda c: c.update(optimizer_states=[{}]), 'param_groups', True),
    'schedule': (lambda c: c.update(lr_schedulers=[3]), 'a training to resume', True),
    'loops': (lambda c: c.pop('loops'), "'loops'", True),
    'order': (lambda c: c.update(LandCoverDataModule={'x': 1}), 'the order of training', True),
}  # fmt: skip


@pytest.mark.parametrize('name', CHANGES)
def test_a_checkpoint_that_does_not_fit_is_named_with_its_fault(
    run: Run, tmp_path: Path, name: str
) -> None:
    change, reason, is_resumed = CHANGES[name]
    checkpoint = torch.load(REAL, weights_only=True)
    change(checkpoint)
    path = tmp_path / 'changed.ckpt'
    torch.save(checkpoint, path)
    for verb in ['fit', *([] if is_resumed else ['predict'])]:
        status, line = run(verb, f'--ckpt={path}')
        assert status in (1, 2)
        assert reason in line
        assert str(path) in line or name == 'order'
    if not is_resumed and name not in ('callbacks', 'version', 'rate'):
        with pytest.raises(ValueError, match='Expected') as error:
            LandCoverSegmentation.load_from_checkpoint(path)
        assert str(path) in str(error.value)


def test_a_file_that_is_no_checkpoint_is_named(run: Run, tmp_path: Path) -> None:
    whole, path = REAL.read_bytes(), tmp_path / 'a.ckpt'
    for content in (b'', b'text', whole[:100], whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        status, line = run('predict', f'--ckpt={path}')
        assert status == 1
        assert f'got {path}, which is damaged or something else' in line


def _fail(error: Exception) -> Callable[[list[str]], None]:
    def program(args: list[str]) -> None:
        try:
            raise ValueError('Expected something else.')
        except ValueError:
            raise error  # noqa: B904 (what is handled meanwhile is another error)

    return program


@pytest.mark.parametrize(
    'number', [errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EACCES]
)
def test_what_the_system_says_of_a_file_is_told_and_no_error_before(
    capsys: pytest.CaptureFixture[str], number: int
) -> None:
    error = OSError(number, os.strerror(number), '/data/file')
    with pytest.raises(SystemExit) as stop:
        run_plainly(_fail(error), [])
    assert stop.value.code == 1
    line = capsys.readouterr().err
    assert f'/data/file, got {os.strerror(number)}' in line
    assert 'something else' not in line


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(KeyError):
        run_plainly(_fail(KeyError('defect')), [])


def test_data_are_missed_before_weights_are_fetched(run: Run, tmp_path: Path) -> None:
    for flag in ('sen12ms_root', 'dfc2020_root', 'val_root'):
        place = tmp_path / 'missing'
        status, line = run('fit', '--model.weights=true', f'--data.{flag}={place}')
        assert status == 1
        assert f'in {place}, got no such folder; --data.{flag} is its root' in line


@pytest.mark.parametrize('verb', ['fit', 'validate', 'test', 'predict'])
def test_a_checkpoint_that_a_config_names_is_missed_at_once(
    run: Run, tmp_path: Path, verb: str
) -> None:
    (tmp_path / 'run.yaml').write_text('ckpt_path: missing.ckpt')
    status, line = run(verb, '--config=run.yaml')
    assert status == 1
    assert line.endswith('Expected a checkpoint, got no file at missing.ckpt.')


@pytest.mark.parametrize(
    ('flag', 'reason'),
    [
        ('optimizer={"class_path": "torch.optim.SGD", "init_args": {"momentum": -1}}',
         'Invalid momentum value: -1'),
        (('lr_scheduler={"class_path": "torch.optim.lr_scheduler.StepLR", "init_args":'
         ' {"step_size": 0}}'), 'step_size from 1, not 0'),
    ],
    ids=['optimizer', 'lr_scheduler'],
)  # fmt: skip
def test_options_that_an_optimiser_does_not_take_are_named(
    run: Run, flag: str, reason: str
) -> None:
    status, line = run('fit', *FIT, f'--model.{flag}')
    assert status == 1
    assert 'Expected options that the optimiser and its schedule take' in line
    assert reason in line

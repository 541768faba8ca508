"""By command, a checkpoint is data; configs and flags name classes, not functions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfc2020_geo.baseline import prediction
from dfc2020_geo.inference import map_scene
from dfc2020_geo.main import main, run_plainly
from tests.support.hostile import REAL, Trap

#: Exit status and the lines on the standard error.
Run = Callable[..., tuple[Any, list[str]]]

#: As little as a stage can do.
QUICK = ('--trainer.accelerator=cpu', '--trainer.enable_progress_bar=false')
QUICK += ('--trainer.logger=false', '--data.num_workers=0', '--previews.max_previews=0')
QUICK += tuple(f'--trainer.limit_{s}_batches=1' for s in ('train', 'val', 'test'))
QUICK += ('--trainer.limit_predict_batches=1', '--class_maps.overwrite=true')
QUICK += ('--trainer.max_epochs=2', '--scores.overwrite=true')


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trap:
    return Trap(tmp_path, monkeypatch)


@pytest.fixture
def run(baseline_tree: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    names = {'dfc2020': 'dfc2020', 'sen12ms': 'sen12ms', 'unlabeled': 'tiffs'}
    roots = [f'--data.{k}_root={baseline_tree / v}' for k, v in names.items()]

    def run(verb: str, *args: Any, program: Any = main) -> tuple[Any, list[str]]:
        stage = verb in ('fit', 'validate', 'test', 'predict')
        try:
            program(
                [verb, *(str(a) for a in args), *([*roots, *QUICK] if stage else [])]
            )
            status = None
        except SystemExit as stop:
            status = stop.code
        return status, capsys.readouterr().err.splitlines()

    return run


def _refused(status: Any, lines: list[str]) -> None:
    assert status == 1
    errors = [line for line in lines if 'error: ' in line]
    assert len(errors) == 1
    assert 'to import or call; if you trust it, name it (--trust' in errors[0]
    assert not [line for line in lines if line.startswith('Traceback')]


@pytest.mark.parametrize('verb', ['predict', 'fit'])
def test_no_stage_calls_or_imports(
    verb: str, trap: Trap, run: Run, tmp_path: Path
) -> None:
    for name, change in trap.changes.items():
        path = trap.write(tmp_path / 'changed.ckpt', change)
        status, lines = run(verb, '--ckpt', path)
        assert not trap.canary.exists(), name
        # Lightning's own way of making a task plays no part here.
        unused = {'_instantiator', *(('optimizer', 'lr_scheduler') * (verb != 'fit'))}
        if unused & {*change}:
            assert status is None, (name, lines)
        else:
            _refused(status, lines)


@pytest.mark.parametrize('verb', ['validate', 'test', 'predict'])
@pytest.mark.parametrize('flag', ['--ckpt', '--ckpt_path'])
def test_optimisers_are_left_out_where_nothing_is_trained(
    verb: str, flag: str, trap: Trap, run: Run, tmp_path: Path
) -> None:
    change = {'optimizer': trap.call, 'lr_scheduler': trap.imported}
    path = trap.write(tmp_path / 'changed.ckpt', change)
    assert run(verb, flag, path)[0] is None
    assert not trap.canary.exists()


def test_no_other_verb_calls_or_imports(trap: Trap, run: Run, tmp_path: Path) -> None:
    task = trap.write(tmp_path / 'task.ckpt', trap.changes['task'])
    optimizer = trap.write(tmp_path / 'call.ckpt', trap.changes['optimizer call'])
    image = tmp_path / 'image.tif'
    _refused(*run('map', '--ckpt', task, '--s2', image))
    for paths in ([optimizer], [REAL, optimizer], [REAL, task]):
        assert run('map', '--ckpt', *paths, '--s2', image)[0] == 1
    for path in (task, optimizer):
        assert run('export-baseline', '--ckpt', path, '--out', tmp_path / 'out')[0] == 1
        with pytest.raises((ValueError, OSError)):
            map_scene(path, image)
    assert not trap.canary.exists()


def test_the_baselines_program_calls_and_imports_nothing(
    trap: Trap, run: Run, tmp_path: Path, baseline_tree: Path
) -> None:
    flags = ['--dataset', 'tiff_dir', '--data_dir', str(baseline_tree / 'tiffs')]

    def program(args: list[str]) -> None:
        run_plainly(prediction.main, [*args[1:], *flags], 'predict.py')

    for name in ('task', 'weights', 'optimizer call'):
        path = trap.write(tmp_path / 'changed.ckpt', trap.changes[name])
        result = run('', '--checkpoint_file', path, '--workers=0', program=program)
        assert not trap.canary.exists()
        if name != 'optimizer call':
            _refused(*result)


def test_what_a_user_trusts_or_names_is_taken(
    trap: Trap, run: Run, tmp_path: Path
) -> None:
    (tmp_path / 'own_task.py').write_text(
        'from dfc2020_geo.tasks import LandCoverSegmentation\n'
        'class Own(LandCoverSegmentation):\n    pass\n'
    )
    path = trap.write(tmp_path / 'own.ckpt', {'_class_path': 'own_task.Own'})
    _refused(*run('predict', '--ckpt', path))
    assert run('predict', '--ckpt', path, '--trust', 'own_task.Own')[0] is None
    assert run('predict', '--ckpt', path, '--model=own_task.Own')[0] is None
    assert run('predict', '--ckpt', path, '--trust')[0] == 2


@pytest.mark.parametrize(
    'settings',
    [
        {'model': {'init_args': {'optimizer': 'CALL'}}},
        {'model': {'init_args': {'optimizer': 'os.system'}}},
        {'model': {'init_args': {'lr_scheduler': 'CALL'}}},
        {'model': {'init_args': {'optimizer': 'POPEN'}}},
        {'model': {'init_args': {'optimizer': 'torch.optim.lr_scheduler.StepLR'}}},
        {'trainer': {'callbacks': ['CALL']}},
        {'trainer': {'logger': 'CALL'}},
        {'data': {'init_args': {'augmentations': ['CALL']}}},
        {'model': 'CALL'},
        {'data': 'CALL'},
    ],
    ids=str,
)
def test_configs_name_classes_and_not_functions(
    settings: dict[str, Any], trap: Trap, run: Run, tmp_path: Path
) -> None:
    text = yaml.safe_dump(settings)
    for name, spec in (('CALL', trap.call), ('POPEN', trap.popen)):
        text = text.replace(name, yaml.safe_dump(spec, default_flow_style=True).strip())
    (tmp_path / 'run.yaml').write_text(text)
    status, lines = run('fit', '--config=run.yaml')
    assert not trap.canary.exists()
    assert status in (1, 2)
    (error,) = [line for line in lines if 'error: ' in line]
    assert 'os.system' in error or 'Popen' in error or 'StepLR' in error
    assert not [line for line in lines if line.startswith('Traceback')]

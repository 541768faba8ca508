"""In Python, a checkpoint is data: nothing that it names is imported or called."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import AdamW

from dfc2020_geo.tasks import LandCoverSegmentation
from dfc2020_geo.tasks.trust import check_arguments, find_task
from tests.support.hostile import REAL, Trap


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trap:
    return Trap(tmp_path, monkeypatch)


def test_a_checkpoint_calls_and_imports_nothing(trap: Trap, tmp_path: Path) -> None:
    for name, change in trap.changes.items():
        path = trap.write(tmp_path / 'changed.ckpt', change)
        if {*change} & {'_instantiator', 'transforms'}:  # which play no part here
            LandCoverSegmentation.load_from_checkpoint(path)
        else:
            with pytest.raises(ValueError, match=r'got .* to import or call; if you'):
                LandCoverSegmentation.load_from_checkpoint(path)
        assert not trap.canary.exists(), name
    assert 'hostile_module' not in sys.modules


def test_older_names_of_the_arguments_play_no_part(trap: Trap, tmp_path: Path) -> None:
    for group in ('hparams', 'module_arguments'):
        checkpoint = torch.load(REAL, weights_only=True)
        checkpoint['hyper_parameters'].pop('optimizer')
        checkpoint[group] = {'optimizer': trap.call}
        torch.save(checkpoint, tmp_path / 'old.ckpt')
        LandCoverSegmentation.load_from_checkpoint(tmp_path / 'old.ckpt')
        assert not trap.canary.exists()


def test_objects_in_a_checkpoint_are_not_made(trap: Trap, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return open, (str(trap.canary), 'w')

    checkpoint = torch.load(REAL, weights_only=True)
    checkpoint['callbacks'] = {'x': Payload()}
    torch.save(checkpoint, tmp_path / 'pickled.ckpt')
    with pytest.raises(ValueError, match='plain values and tensors'):
        LandCoverSegmentation.load_from_checkpoint(tmp_path / 'pickled.ckpt')
    assert not trap.canary.exists()


def test_an_honest_checkpoint_has_its_optimiser_and_weights() -> None:
    for source in (REAL, str(REAL)):
        task = LandCoverSegmentation.load_from_checkpoint(source)
        plan = task.configure_optimizers()
        assert type(plan['optimizer']) is AdamW
        assert plan['optimizer'].param_groups[0]['weight_decay'] == 0.01
        assert type(plan['lr_scheduler']['scheduler']).__name__ == 'PolynomialLR'
    stored = torch.load(REAL, weights_only=True)['state_dict']
    assert all(torch.equal(v, stored[k]) for k, v in task.state_dict().items())


def test_arguments_of_a_call_count_before_those_of_the_checkpoint(
    trap: Trap, tmp_path: Path
) -> None:
    path = trap.write(tmp_path / 'changed.ckpt', {'optimizer': trap.call})
    task = LandCoverSegmentation.load_from_checkpoint(path, optimizer=None, tta=True)
    assert type(task.configure_optimizers()['optimizer']) is AdamW
    assert task.hparams['tta']
    assert not trap.canary.exists()


class Wider(LandCoverSegmentation):
    """A task of a user, in a module that is imported."""

    def __init__(self, extra: str = 'x', **kwargs: Any) -> None:
        super().__init__(**kwargs)


def test_tasks_that_are_imported_are_found() -> None:
    here = f'{__name__}.Wider'
    assert find_task({'_class_path': here}, LandCoverSegmentation) is Wider
    assert find_task({}, Wider) is Wider
    base = 'dfc2020_geo.tasks.LandCoverSegmentation'
    assert find_task({'_class_path': base}, Wider) is Wider
    for other in ('no.such.Class', 'os.system', 'torch.optim.SGD', 'SGD', 3):
        with pytest.raises(ValueError, match='to be Wider or an imported subclass'):
            find_task({'_class_path': other}, Wider)
    texts = {'extra': 'a.b/c', 'model': 'deeplabv3+', 'bands': ['s2-10m'], 'lr': 1e-3}
    check_arguments(texts, Wider)


def test_what_a_user_trusts_is_called(trap: Trap, tmp_path: Path) -> None:
    (tmp_path / 'own_optimizer.py').write_text(
        'import torch\nclass Own(torch.optim.SGD):\n    pass\n'
    )
    spec = {'class_path': 'own_optimizer.Own', 'init_args': {'momentum': 0.5}}
    path = trap.write(tmp_path / 'own.ckpt', {'optimizer': spec})
    with pytest.raises(ValueError, match=r'own_optimizer\.Own.* trust='):
        LandCoverSegmentation.load_from_checkpoint(path)
    task = LandCoverSegmentation.load_from_checkpoint(path, trust=['own_optimizer.Own'])
    optimizer = task.configure_optimizers()['optimizer']
    assert type(optimizer).__name__ == 'Own'
    assert optimizer.param_groups[0]['momentum'] == 0.5

"""Runs that are ended at random moments, and what their users get."""

import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.support import ROOT

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(sys.platform == 'win32', reason='has no such signals'),
]


@pytest.fixture
def torture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / 'scripts')
    return pytest.importorskip('torture')


def test_runs_that_are_ended_give_what_they_would_have_given(
    torture: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verbs = ('fit', 'predict', 'map', 'pack')
    assert torture.torture_all(verbs, 2, 0, tmp_path) == 0, capsys.readouterr().out


def test_sigterm_saves_the_step_at_which_it_comes(
    torture: ModuleType, tmp_path: Path
) -> None:
    inputs = torture.make_inputs(tmp_path / 'inputs')
    command = [*inputs.command('fit'), '--trainer.max_epochs=1000']
    seconds, last = 2.0, []
    while not last:  # not before its first step, however slow the machine is
        folder = tmp_path / f'run_{seconds}'
        status, said, _ = torture.run(command, folder, 'term', seconds)
        last = [*folder.rglob('last.ckpt')]
        seconds *= 2
    assert status == 128 + signal.SIGTERM
    assert 'Traceback' not in said
    assert torch.load(last[0], weights_only=True)['global_step'] > 0

"""One grammar for all verbs: flags, and exit status 0, 1, 2 and 130."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfc2020_geo.main import VERBS, main
from tests.support import DATA, ROOT
from tests.test_startup import HEAVY, run_command

STAGES = ('fit', 'validate', 'test', 'predict')

#: What each verb needs to be understood, beside --help.
COMPLETE = {
    'map': ('--ckpt', 'none.ckpt', '--s2', 'none.tif'),
    'check': ('none',),
    'pack': ('--root', 'none', '--out', 'pack'),
    'import-baseline': (
        f'--config_file={__file__}',
        f'--checkpoint_file={__file__}',
        '--out=c',
    ),
    'export-baseline': ('--ckpt', 'none.ckpt', '--out', 'b'),
    **dict.fromkeys(STAGES[1:], ('--ckpt', 'none.ckpt')),
}

#: The flags that a verb of its kind has.
FLAGS = {
    **dict.fromkeys(STAGES, ('--ckpt', '--ckpt_path', '--trust', '--config')),
    'map': ('--ckpt', '--out', '--overwrite'),
    'export-baseline': ('--ckpt', '--out', '--overwrite'),
    'import-baseline': ('--out', '--overwrite'),
    'pack': ('--out', '--overwrite'),
    'check': ('--out', '--overwrite', '--json'),
    'demo': ('--out', '--overwrite'),
}


def _stop(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as stop:
        main(args)
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize('verb', VERBS)
def test_help_is_no_failure_and_has_the_flags_of_its_kind(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([verb, '--help'])
    assert stop.value.code in (0, None)
    text = capsys.readouterr().out
    assert [flag for flag in FLAGS[verb] if f'{flag} ' not in text] == []


@pytest.mark.parametrize('verb', VERBS)
def test_a_flag_that_is_unknown_is_status_2(
    verb: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'none.ckpt').touch()
    if verb in STAGES:  # whose checkpoint is read before flags are known
        args: tuple[str, ...] = ('--trainer.no_such_flag=1',)
        if verb != 'fit':
            args = ('--data.bands=[s1]', '--model.bands=[s2]', '--ckpt=none.ckpt')
    else:
        args = (*COMPLETE.get(verb, ()), '--no_such_flag')
    if verb in ('map', 'demo'):  # what they do not know goes to a stage
        return
    status, error = _stop(capsys, verb, *args)
    assert status == 2
    assert error.startswith('dfc2020-geo: error: ')
    assert error.count('\n') == 1


@pytest.mark.parametrize('verb', [verb for verb in VERBS if verb in COMPLETE])
def test_a_flag_that_is_missing_is_status_2(
    verb: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    status, error = _stop(capsys, verb)
    assert status == 2
    assert error.startswith('dfc2020-geo: error: ')
    assert error.count('\n') == 1


@pytest.mark.parametrize(
    ('args', 'says'),
    [
        (('fit', '--data.batchsize=3'), 'did you mean --data.batch_size?'),
        (('fit', '--config'), 'after --config, got nothing'),
        (('fit', '--model.bands=[s1]', '--data.bands=[s2]'), 'bands under data alone'),
        (('test', '--ckpt=a', '--ckpt_path=b'), 'no file at a'),
        (('pack', '--verify=a', '--root=b'), '--verify PACK alone'),
        (
            (
                'import-baseline',
                f'--config={__file__}',
                f'--config_file={ROOT / "README.md"}',
                '--out=c',
            ),
            'which mean the same',
        ),
        (('no-such-verb',), "got 'no-such-verb'"),
    ],
    ids=str,
)
def test_flags_that_contradict_each_other_are_status_2(
    args: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, error = _stop(capsys, *args)
    assert says in error
    assert status == (1 if 'no file' in says else 2)


@pytest.mark.parametrize(
    'args',
    [
        *((stage, '--ckpt', 'none.ckpt') for stage in STAGES),
        ('test', '--ckpt_path=none.ckpt'),
        ('map', '--ckpt', 'none.ckpt', '--s2', 'none.tif'),
        ('export-baseline', '--ckpt=none.ckpt', '--out=b'),
    ],
    ids=' '.join,
)
def test_a_checkpoint_that_is_missing_is_told_before_anything_is_loaded(
    args: tuple[str, ...],
) -> None:
    status, output, modules = run_command(*args)
    assert status == 1
    assert 'error: Expected a checkpoint, got no file at none.ckpt.' in output
    assert modules.isdisjoint(HEAVY)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='has no SIGINT for others')
def test_an_interrupt_is_one_line_and_status_130(
    tmp_path: Path, baseline_tree: Path
) -> None:
    (tmp_path / 'tree').symlink_to(baseline_tree)
    config = DATA / 'b0abc9c' / 'patches_fit.yaml'
    command = [sys.executable, '-m', 'dfc2020_geo', 'fit', f'--config={config}']
    command += ['--trainer.max_epochs=9999', '--trainer.callbacks=null']
    said = tmp_path / 'said'
    with (
        said.open('w') as file,
        subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=file) as process,
    ):
        while process.poll() is None and not [*tmp_path.rglob('*.ckpt')]:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    text = said.read_text()
    assert process.returncode == 130, text
    assert text.splitlines()[-1] == 'dfc2020-geo: error: interrupted'
    assert 'Traceback' not in text

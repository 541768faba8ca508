"""What the README tells a reader to type."""

import re
import shlex
from pathlib import Path

import pytest

from dfc2020_geo.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', README, flags=re.DOTALL)


COMMANDS = [line for block in _blocks('bash') for line in block.splitlines()]


@pytest.fixture(scope='module')
def folder(baseline_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data where the README has them."""
    folder = tmp_path_factory.mktemp('readme')
    (folder / 'data').mkdir()
    for name, tree in {'unlabeled': 'tiffs'}.items() | {
        (name, name) for name in ('sen12ms', 'dfc2020')
    }:
        (folder / 'data' / name).symlink_to(baseline_tree / tree)
    return folder


@pytest.mark.parametrize('command', [c for c in COMMANDS if c.startswith('make')])
def test_targets_are_in_the_makefile(command: str) -> None:
    _, target = shlex.split(command)
    assert re.search(
        rf'^{target}:', (ROOT / 'Makefile').read_text(), flags=re.MULTILINE
    )


SMALL = {
    'fit': '--trainer.max_steps=1 --trainer.val_check_interval=1 --data.batch_size=2 '
    '--model.weights=null --model.backbone=resnet18 --trainer.limit_val_batches=1',
    'test': '',
    'predict': '',
}


@pytest.mark.slow
def test_commands_run_one_after_the_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    commands = [shlex.split(c)[1:] for c in COMMANDS if c.startswith('dfc2020-geo')]
    assert len(commands) >= 6
    for args in commands:
        if args[-1] == '--help':
            with pytest.raises(SystemExit, match='0'):
                main(args)
            continue
        small = '--trainer.accelerator=cpu --data.num_workers=0'
        main([*args, *small.split(), *SMALL[args[0]].split()])
    assert len(list((folder / 'predictions').glob('*.tif'))) == 3
    assert len(list((folder / 'previews').glob('*.png'))) == 3


@pytest.mark.slow
@pytest.mark.parametrize('snippet', _blocks('python'))
def test_python_runs(
    snippet: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    exec(compile(snippet, 'README.md', 'exec'), {})  # noqa: S102 (our own README)


def test_links_lead_somewhere() -> None:
    links = re.findall(r'\]\(([^)#:]+)\)', README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []

"""What the README tells a reader to type."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from dfc2020_geo.main import main
from dfc2020_geo.models import BaselineUNet
from dfc2020_geo.synthetic import write_scene
from tests.support import DATA, ROOT
from tests.support.golden_weights import fill_network

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


_STAGE = '--trainer.accelerator=cpu --data.num_workers=0 '

#: What is added to a command of the README, so that it takes seconds.
SMALL = {
    'fit': f'{_STAGE}--trainer.max_steps=1 --trainer.val_check_interval=1 --data.batch_size=2 '
    '--model.weights=null --model.backbone=resnet18 --trainer.limit_val_batches=1',
    'test': _STAGE,
    'predict': _STAGE,
    'pack': '',
    'check': '',
    'map': f'{_STAGE}--data.size=64 --data.overlap=16',
    'import-baseline': '',
    'export-baseline': '',
}


def _bring_scene(folder: Path) -> None:
    scene = write_scene(folder / 'scenes', 'one', shape=(70, 90))
    for source, name in ((scene.s2, 'scene_s2.tif'), (scene.s1, 'scene_s1.tif')):
        shutil.copy(source, folder / name)
    (trained,) = folder.glob('runs/unet_s1s2/version_0/checkpoints/last.ckpt')
    shutil.copy(trained, folder / 'model.ckpt')


def _bring_baseline(folder: Path) -> None:
    (folder / 'model.ckpt').unlink()
    shutil.copy(DATA / 'args_unet.pkl', folder / 'args.pkl')
    weights = fill_network(BaselineUNet(12, 9)).state_dict()
    content = {'model_state_dict': weights, 'step': 5000, 'optimizer_state_dict': {}}
    torch.save(content, folder / 'checkpoint_step_5000.pth')


#: What a reader has before a command.
BRING = {'map': _bring_scene, 'import-baseline': _bring_baseline}


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
        BRING.get(args[0], lambda folder: None)(folder)
        main([*args, *SMALL[args[0]].split()])
    assert (folder / 'map.tif').is_file()
    assert {p.name for p in (folder / 'baseline').iterdir()} == {
        'args.pkl', 'checkpoint_step_5000.pth'
    }  # fmt: skip
    assert len(list((folder / 'predictions').glob('*.tif'))) == 3
    assert len(list((folder / 'previews').glob('*.png'))) == 3


@pytest.mark.slow
def test_python_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for snippet in _blocks('python'):  # as one pastes them, one after the other
        exec(compile(snippet, 'README.md', 'exec'), names)  # noqa: S102 (our own README)


def test_links_lead_somewhere() -> None:
    links = re.findall(r'\]\(([^)#:]+)\)', README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []

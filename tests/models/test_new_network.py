"""A network is added by a module and a line in the table of networks."""

import inspect
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dfc2020_geo import models
from dfc2020_geo.baseline.arguments import MODELS
from dfc2020_geo.main import main
from dfc2020_geo.models import NETWORKS, network_settings
from dfc2020_geo.models.contract import CONTRACT_KEY
from dfc2020_geo.tasks import LandCoverSegmentation


class PixelNetwork(nn.Module):
    """Two convolutions of one pixel each; its module would be models/pixels.py."""

    def __init__(self, in_channels: int, num_classes: int, num_filters: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(in_channels, num_filters, kernel_size=1)
        self.head = nn.Conv2d(num_filters, num_classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x).relu())


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    # The line in NETWORKS of dfc2020_geo/models/__init__.py.
    monkeypatch.setitem(NETWORKS, 'pixels', PixelNetwork)


@pytest.mark.usefixtures('_registered')
def test_a_new_network_trains_is_saved_and_predicts(
    baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(
        [
            'fit',
            f'--data.sen12ms_root={baseline_tree / "sen12ms"}',
            '--data.val=sen12ms_holdout',
            '--data.bands=[s1]',
            '--data.num_workers=0',
            '--model.model=pixels',
            '--model.num_filters=5',
            '--trainer.accelerator=cpu',
            '--trainer.max_steps=1',
            '--trainer.logger=false',
            '--trainer.enable_progress_bar=false',
        ]
    )
    (path,) = (tmp_path / 'checkpoints').glob('*.ckpt')
    facts = torch.load(path, weights_only=True)[CONTRACT_KEY]
    assert (facts['model'], facts['num_filters']) == ('pixels', 5)
    assert not {'backbone', 'output_stride'} & facts.keys()
    task = LandCoverSegmentation.load_from_checkpoint(path)
    assert isinstance(task.model, PixelNetwork)
    assert task.model.hidden.weight.shape == (5, 2, 1, 1)
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    flags = '--data.num_workers=0', '--trainer.accelerator=cpu'
    main(['predict', f'--ckpt_path={path}', root, *flags, '--previews.max_previews=0'])
    assert len([*(tmp_path / 'predictions').glob('*.tif')]) == 3
    with pytest.raises(SystemExit):
        main(['export-baseline', f'--ckpt_path={path}', '--out=exported'])
    assert not (tmp_path / 'exported').exists()


@pytest.mark.usefixtures('_registered')
def test_a_new_network_is_none_of_the_baselines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert {*MODELS.values()} == {'baseline-unet', 'baseline-deeplabv3+'}
    task = LandCoverSegmentation(['s1'], model='pixels', num_filters=4)
    with pytest.raises(ValueError, match=r'Expected num_filters=4 .* got 3'):
        LandCoverSegmentation(['s1'], model='pixels').on_load_checkpoint(
            {CONTRACT_KEY: task.contract}
        )
    # What a network has no use for does not matter to it.
    LandCoverSegmentation(
        ['s1'], model='pixels', num_filters=4, output_stride=8
    ).on_load_checkpoint({CONTRACT_KEY: task.contract})


@pytest.mark.parametrize('model', [*models.TORCHGEO_NETWORKS, *NETWORKS])
def test_settings_of_networks_are_arguments_of_the_task(model: str) -> None:
    arguments = inspect.signature(LandCoverSegmentation).parameters
    assert {*network_settings(model)} <= arguments.keys()


def test_an_unknown_network_is_told_which_there_are() -> None:
    with pytest.raises(ValueError, match=r"'unet', .*'baseline-unet', .*got 'vnet'"):
        LandCoverSegmentation(model='vnet')

"""This package under torchgeo's own command and with torchgeo's own task."""

from pathlib import Path

import pytest
import torch
from torchgeo.main import main

from tests.support import ROOT

CONFIG = ROOT / 'configs' / 'torchgeo' / 'unet_s1s2.yaml'


@pytest.fixture
def flags(
    baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    for name in (
        'GDAL_DISABLE_READDIR_ON_OPEN', 'AWS_NO_SIGN_REQUEST', 'VSI_CURL_CACHE_SIZE',
        'GDAL_MAX_RAW_BLOCK_CACHE_SIZE', 'GDAL_SWATH_SIZE',
    ):  # fmt: skip
        monkeypatch.setenv(name, '')  # torchgeo's command sets them, for good
        monkeypatch.delenv(name)
    return [
        f'--config={CONFIG}',
        f'--data.sen12ms_root={baseline_tree / "sen12ms"}',
        f'--data.dfc2020_root={baseline_tree / "dfc2020"}',
        f'--data.unlabeled_root={baseline_tree / "tiffs"}',
        '--data.batch_size=3',
        '--data.num_workers=0',
        '--model.backbone=resnet18',
        '--trainer.accelerator=cpu',
        '--trainer.max_epochs=1',
        f'--trainer.default_root_dir={tmp_path}',
        '--trainer.enable_progress_bar=false',
    ]


@pytest.mark.slow
def test_torchgeos_command_trains_tests_and_predicts(
    flags: list[str], tmp_path: Path
) -> None:
    main(['fit', *flags])
    checkpoint = next(tmp_path.rglob('last.ckpt'))
    for stage in ('test', 'validate'):
        main([stage, *flags, f'--ckpt_path={checkpoint}'])
    writer = {
        'class_path': 'dfc2020_geo.callbacks.ClassMapWriter',
        'init_args': {'output_dir': str(tmp_path / 'maps'), 'probabilities': True},
    }
    main(
        [
            'predict',
            *flags,
            f'--ckpt_path={checkpoint}',
            f'--trainer.callbacks={writer}',
        ]
    )
    assert len(list((tmp_path / 'maps').glob('*_pred_00?.tif'))) == 2
    assert len(list((tmp_path / 'maps').glob('*.probabilities.tif'))) == 3


def test_torchgeos_command_stops_where_data_and_model_differ(flags: list[str]) -> None:
    expected = 'got model.scheme=dfc2020-no-savanna and data.scheme=dfc2020'
    with pytest.raises(ValueError, match=expected):
        main(['fit', *flags, '--data.scheme=dfc2020'])


def test_torchgeos_task_draws_our_samples(baseline_tree: Path, tmp_path: Path) -> None:
    pytest.importorskip('tensorboard')
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import TensorBoardLogger
    from torchgeo.tasks import SemanticSegmentation

    from dfc2020_geo.datamodules import LandCoverDataModule

    datamodule = LandCoverDataModule(
        dfc2020_root=baseline_tree / 'dfc2020', bands=['s2-10m'], num_workers=0
    )
    task = SemanticSegmentation(
        'unet', 'resnet18', in_channels=4, num_classes=10, ignore_index=255
    )
    drawn: list[torch.Tensor] = []
    plot = datamodule.plot
    datamodule.plot = lambda s: (drawn.append(s['image']), plot(s))[1]  # ty: ignore
    logger = TensorBoardLogger(tmp_path)
    trainer = Trainer(accelerator='cpu', logger=logger, enable_progress_bar=False)
    trainer.validate(task, datamodule=datamodule, verbose=False)
    assert drawn
    assert drawn[0].max() > 100  # the scaling is undone

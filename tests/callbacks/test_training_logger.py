"""A training followed in its loggers, on the small trees of the 2020 baseline."""

import io
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import (
    CometLogger,
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
)
from matplotlib.image import imread
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dfc2020_geo.callbacks import TrainingLogger, log_picture
from dfc2020_geo.classes import IGNORE_INDEX, SCHEMES
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.main import main
from dfc2020_geo.tasks import LandCoverSegmentation
from dfc2020_geo.transforms import RandomD4

pytest.importorskip('tensorboard')

PICTURES = {'train/input', 'train/prediction', 'train/ground_truth'}
SCORES = {'epoch_loss', 'AA', 'mIoU'}
SCHEME = 'dfc2020-no-savanna'


class Recorder(LandCoverSegmentation):
    """The task, which keeps what it was given, what it answered and its losses."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{'model': 'fcn', 'num_filters': 4, 'lr': 0.01} | arguments)
        torch.manual_seed(0)
        for parameter in self.model.parameters():
            nn.init.normal_(parameter)  # wild enough to answer with many classes
        self.batches: list[dict[str, Tensor]] = []
        self.logits: list[Tensor] = []
        self.losses: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        if self.training:
            self.logits.append(logits.detach().float().clone())
        return logits

    def training_step(self, batch: Any, *args: Any) -> Tensor:
        loss = super().training_step(batch, *args)
        self.batches.append({key: value.clone() for key, value in batch.items()})
        self.losses.append(loss.item())
        return loss


class MemoryLogger(Logger):
    """A logger that keeps scalars, without any place for pictures."""

    name, version = 'memory', 0

    def __init__(self) -> None:
        self.scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            self.scalars[name].append((step or 0, value))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass


class PictureLogger(MemoryLogger):
    """A logger with the ``log_image`` of Weights & Biases."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: dict[tuple[str, int], np.ndarray] = {}

    def log_image(
        self, key: str, images: list[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        (self.pictures[key, step or 0],) = images


class WithoutForest(LandCoverDataModule):
    """The data, with a class less in masks than in the scheme."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        mask = batch['mask']
        return batch | {'mask': mask.where(mask != 0, IGNORE_INDEX)}


def _datamodule(
    tree: Path, datamodule: Any = LandCoverDataModule, **arguments: Any
) -> LandCoverDataModule:
    defaults = {
        'sen12ms_root': tree / 'sen12ms',
        'dfc2020_root': tree / 'dfc2020',
        'val': 'dfc2020_val',
        'batch_size': 2,
        'num_workers': 0,
    }
    return datamodule(**defaults | arguments)


def _fit(
    task: LightningModule,
    logger: Any,
    datamodule: LandCoverDataModule | None = None,
    loader: Any = None,
    every_n_steps: int = 2,
    max_images: int = 4,
    **arguments: Any,
) -> Trainer:
    torch.manual_seed(0)
    trainer = Trainer(**{
        'accelerator': 'cpu', 'max_epochs': 1, 'logger': logger, 'log_every_n_steps': 2,
        'enable_progress_bar': False, 'enable_model_summary': False,
        'enable_checkpointing': False,
        'callbacks': [TrainingLogger(every_n_steps, max_images)],
    } | arguments)  # fmt: skip
    trainer.fit(task, datamodule=datamodule, train_dataloaders=loader)
    return trainer


def _events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), {'images': 0, 'scalars': 0}).Reload()


def _palette(scheme: str) -> np.ndarray:
    """The colour of each index up to 255; black is ignored, white is a mistake."""
    colors = np.full((256, 3), 255, dtype=np.uint8)
    for index, land_cover in enumerate(SCHEMES[scheme].classes):
        colors[index] = land_cover.color
    colors[IGNORE_INDEX] = 0
    return colors


def _drawn(indices: Tensor, scheme: str = 'dfc2020') -> np.ndarray:
    return np.concatenate([_palette(scheme)[patch] for patch in indices.numpy()], 1)


def _column(table: pd.DataFrame, name: str) -> list[tuple[int, float]]:
    rows = table[['step', name]].dropna()
    return [(int(step), value) for step, value in rows.to_numpy()]


def test_tensorboard_and_csv_hold_the_same_course(
    baseline_tree: Path, tmp_path: Path
) -> None:
    task = Recorder(scheme=SCHEME)
    loggers = [CSVLogger(tmp_path, 'csv'), TensorBoardLogger(tmp_path, 'tensorboard')]
    datamodule = _datamodule(baseline_tree, WithoutForest, scheme=SCHEME)
    trainer = _fit(task, loggers, datamodule, max_epochs=2, max_images=2)
    assert trainer.global_step == 6  # 7 patches: the remainder of one is dropped

    table = pd.read_csv(tmp_path / 'csv' / 'version_0' / 'metrics.csv')
    events = _events(tmp_path / 'tensorboard' / 'version_0')
    scores = {f'dfc2020_val/{name}' for name in SCORES}
    assert scores | {'train/loss'} <= set(events.Tags()['scalars'])
    for tag in (*scores, 'train/loss'):
        written = [(event.step, event.value) for event in events.Scalars(tag)]
        assert _column(table, tag) == [(s, pytest.approx(v)) for s, v in written]

    ours = table.dropna(subset=[*scores, 'train/loss'], how='all')
    assert ours['step'].tolist() == [1, 2, 3, 3, 4, 5, 6, 6]
    losses = dict(enumerate(task.losses, 1))
    assert dict(_column(table, 'train/loss')) == pytest.approx(losses)
    assert table['val_mIoU'].dropna().gt(table['val_mIoU_all'].dropna()).all()
    for name, theirs in {'epoch_loss': 'loss', 'AA': 'AA', 'mIoU': 'mIoU_all'}.items():
        values = _column(table, f'dfc2020_val/{name}')
        assert [step for step, _ in values] == [3, 6]
        expected = [value for _, value in _column(table, f'val_{theirs}')]
        assert [value for _, value in values] == pytest.approx(expected)


def test_pictures_show_what_was_given_answered_and_true(
    baseline_tree: Path, tmp_path: Path
) -> None:
    task = Recorder()
    # torchgeo's tasks draw validation batches where TensorBoard is the first logger.
    loggers = [MemoryLogger(), TensorBoardLogger(tmp_path, 'run')]
    _fit(task, loggers, _datamodule(baseline_tree, batch_size=3), max_images=2)
    events = _events(tmp_path / 'run' / 'version_0')
    assert set(events.Tags()['images']) == PICTURES
    pictures = {}
    for tag in PICTURES:
        (event,) = events.Images(tag)
        assert event.step == 2
        data = imread(io.BytesIO(event.encoded_image_string), format='png')
        pictures[tag] = (data[..., :3] * 255).round().astype(np.uint8)
    mask = task.batches[1]['mask'][:2]
    assert (mask == IGNORE_INDEX).any()
    assert np.array_equal(pictures['train/ground_truth'], _drawn(mask))
    prediction = task.logits[1].argmax(1)[:2]
    assert len(prediction.unique()) > 3
    assert np.array_equal(pictures['train/prediction'], _drawn(prediction))

    # By hand: true colours are a stretch, so brighter red is brighter red.
    picture = pictures['train/input']
    assert picture.shape == (48, 96, 3)
    red = task.batches[1]['image'][0, 2].numpy()  # B02 B03 B04
    order = np.argsort(red.ravel(), kind='stable')
    assert (np.diff(picture[:, :48, 0].ravel()[order].astype(int)) >= 0).all()
    assert np.ptp(picture) == 255


def test_sentinel_1_is_drawn_in_decibels() -> None:
    logger, task = PictureLogger(), Recorder(bands=['s1'])
    image = torch.empty(2, 2, 8, 8)
    image[:, 0], image[:, 1] = 0.6, 0.4  # of -25 dB to 0 dB: -10 and -15
    sample = {'image': image, 'mask': torch.zeros(2, 8, 8).long()}
    _fit(task, logger, loader=DataLoader([sample], batch_size=None), every_n_steps=1)
    expected = np.array([10 / 18, 12 / 19, 3 / 12]) * 255
    picture = logger.pictures['train/input', 1]
    assert picture.shape == (8, 16, 3)
    np.testing.assert_allclose(picture.reshape(-1, 3), [expected] * 128, atol=0.51)


def test_a_step_of_several_batches_is_one_step(baseline_tree: Path) -> None:
    logger, task = PictureLogger(), Recorder()
    datamodule = _datamodule(baseline_tree, batch_size=1)
    # 7 batches of one: steps of 3, 3 and 1.
    _fit(task, logger, datamodule, accumulate_grad_batches=3)
    means = [np.mean(task.losses[a:b]) for a, b in ((0, 3), (3, 6), (6, 7))]
    steps, values = zip(*logger.scalars['train/loss'], strict=True)
    assert steps == (1, 2, 3)
    assert values == pytest.approx(means)
    assert {key for key, _ in logger.pictures} == PICTURES
    last = task.logits[5].argmax(1)
    assert np.array_equal(logger.pictures['train/prediction', 2], _drawn(last))
    truth = task.batches[5]['mask']
    assert np.array_equal(logger.pictures['train/ground_truth', 2], _drawn(truth))


@pytest.mark.parametrize('accumulate', [1, 2])
def test_watching_changes_no_bit(baseline_tree: Path, accumulate: int) -> None:
    states = []
    for watch in (True, False):
        torch.manual_seed(1)
        # Dropout and batch normalisation, and augmentations that draw numbers.
        task = Recorder(model='deeplabv3+', backbone='tu-test_resnet')
        assert any(isinstance(m, nn.Dropout) for m in task.modules())
        data = _datamodule(baseline_tree, batch_size=3, augmentations=[RandomD4()])
        callbacks = [TrainingLogger(every_n_steps=1)] if watch else []
        logger = PictureLogger()
        _fit(task, logger, data, max_epochs=2, accumulate_grad_batches=accumulate,
             callbacks=callbacks)  # fmt: skip
        assert bool(logger.pictures) == watch
        assert not task._forward_hooks
        states.append((task.state_dict(), torch.get_rng_state(), task.losses))
    (one, rng, losses), (other, other_rng, other_losses) = states
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(rng, other_rng)
    assert losses == other_losses


def test_scores_bear_the_name_of_their_set(baseline_tree: Path) -> None:
    logger = MemoryLogger()
    datamodule = _datamodule(baseline_tree, val='sen12ms_holdout')
    _fit(Recorder(), logger, datamodule, val_check_interval=1, limit_train_batches=2)
    for name in SCORES:
        values = logger.scalars[f'sen12ms_holdout/{name}']
        assert [step for step, _ in values] == [1, 2]  # and 0 for no sanity check


def test_only_trainings_are_followed(baseline_tree: Path) -> None:
    logger, task = PictureLogger(), Recorder()
    trainer = Trainer(
        accelerator='cpu', logger=logger, callbacks=[TrainingLogger(1)],
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.validate(task, datamodule=_datamodule(baseline_tree), verbose=False)
    assert 'val_AA' in logger.scalars
    assert not any('/' in name for name in logger.scalars)


def test_files_stand_with_the_logs_of_a_logger_without_pictures(
    baseline_tree: Path, tmp_path: Path
) -> None:
    task = Recorder()
    _fit(task, CSVLogger(tmp_path, 'run'), _datamodule(baseline_tree), max_epochs=2)
    folder = tmp_path / 'run' / 'version_0' / 'images'
    files = {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()}
    assert files == {f'{tag}_{step:08d}.png' for tag in PICTURES for step in (2, 4, 6)}
    picture = imread(folder / 'train' / 'prediction_00000006.png')[..., :3] * 255
    expected = _drawn(task.logits[5].argmax(1))
    assert np.array_equal(picture.round().astype(np.uint8), expected)


def test_each_service_gets_pictures_as_it_takes_them() -> None:
    calls = []

    class Client:
        def log_image(self, *args: Any, **kwargs: Any) -> None:
            calls.append((args, kwargs))

    class MLflow(MLFlowLogger):
        experiment, run_id = Client(), 'run-7'

        def __init__(self) -> None:
            pass  # the service is not there

    class Comet(CometLogger):
        experiment = Client()

        def __init__(self) -> None:
            pass

    picture = np.zeros((2, 4, 3), dtype=np.uint8)
    log_picture(MLflow(), 'train/input', picture, 5)
    log_picture(Comet(), 'train/input', picture, 5)
    assert calls == [
        (('run-7', picture), {'key': 'train/input', 'step': 5}),
        ((picture,), {'name': 'train/input', 'step': 5}),
    ]
    memory = MemoryLogger()
    log_picture(memory, 'train/input', picture, 5)  # has no place for it
    remote = SimpleNamespace(log_dir='s3://bucket/run')
    log_picture(remote, 'train/input', picture, 5)
    assert not Path('s3:').exists()


def test_torchgeos_task_gives_what_it_has(baseline_tree: Path) -> None:
    from torchgeo.tasks import SemanticSegmentation

    def fit(num_classes: int) -> PictureLogger:
        logger = PictureLogger()
        task = SemanticSegmentation(
            'fcn', in_channels=12, num_classes=num_classes, ignore_index=255,
            num_filters=2,
        )  # fmt: skip
        _fit(task, logger, _datamodule(baseline_tree))
        return logger

    logger = fit(10)
    assert [step for step, _ in logger.scalars['train/loss']] == [1, 2, 3]
    assert len(logger.scalars['dfc2020_val/epoch_loss']) == 1
    assert 'dfc2020_val/AA' not in logger.scalars
    assert {key for key, _ in logger.pictures} == PICTURES
    # Classes that the scheme of the data has not are not drawn in its colours.
    assert {key for key, _ in fit(12).pictures} == PICTURES - {'train/prediction'}


def test_what_says_nothing_of_bands_and_classes_is_not_drawn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = PictureLogger()
    with caplog.at_level('INFO'):
        _fit(BoringModel(), logger, limit_train_batches=3, limit_val_batches=1)
    assert [step for step, _ in logger.scalars['train/loss']] == [1, 2, 3]
    assert not logger.pictures
    assert 'No pictures of training: neither the task' in caplog.text


def test_bands_that_nobody_sees_leave_the_class_maps(baseline_tree: Path) -> None:
    logger = PictureLogger()
    _fit(Recorder(bands=['B08']), logger, _datamodule(baseline_tree, bands=['B08']))
    assert {key for key, _ in logger.pictures} == PICTURES - {'train/input'}


@pytest.mark.parametrize(
    'arguments',
    [
        {'precision': 'bf16-mixed'},
        {'strategy': 'ddp', 'devices': 1},
        {'limit_val_batches': 0, 'limit_train_batches': 2},
        {'log_every_n_steps': 0},
        {'max_steps': 2},
    ],
    ids=str,
)
def test_every_trainer_is_followed(
    baseline_tree: Path, arguments: dict[str, Any]
) -> None:
    logger, task = PictureLogger(), Recorder()
    _fit(task, logger, _datamodule(baseline_tree), **arguments)
    expected = _drawn(task.logits[1].argmax(1))
    assert np.array_equal(logger.pictures['train/prediction', 2], expected)
    steps, values = zip(*logger.scalars['train/loss'], strict=True)
    assert steps == tuple(range(1, len(task.losses) + 1))
    assert values == pytest.approx(task.losses)


@pytest.mark.parametrize('arguments', [{'logger': False}, {'fast_dev_run': 2}], ids=str)
def test_without_a_logger_nothing_is_drawn(
    baseline_tree: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    task, arguments = Recorder(), {'logger': CSVLogger(tmp_path)} | arguments
    trainer = _fit(task, datamodule=_datamodule(baseline_tree), **arguments)
    assert trainer.global_step > 1
    assert not list(tmp_path.rglob('*.png'))


def test_what_was_learned_before_an_error_is_logged(baseline_tree: Path) -> None:
    class Failing(Recorder):
        def training_step(self, batch: Any, *args: Any) -> Tensor:
            loss = super().training_step(batch, *args)
            if len(self.losses) == 4:
                raise RuntimeError('no more memory')
            return loss

    logger, task = PictureLogger(), Failing()
    with pytest.raises(RuntimeError, match='no more memory'):
        _fit(task, logger, _datamodule(baseline_tree), max_epochs=2,
             log_every_n_steps=50)  # fmt: skip
    assert [step for step, _ in logger.scalars['train/loss']] == [1, 2, 3]
    assert not task._forward_hooks


@pytest.mark.parametrize('arguments', [(0, 4), (-1, 4), (1, -1)])
def test_numbers_that_mean_nothing_are_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r'every_n_steps from 1 .*, got -?\d and -?\d'):
        TrainingLogger(*arguments)


def test_a_config_names_both_loggers(
    baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = yaml.safe_load(f"""
    data:
      class_path: dfc2020_geo.datamodules.LandCoverDataModule
      init_args:
        sen12ms_root: {baseline_tree / 'sen12ms'}
        dfc2020_root: {baseline_tree / 'dfc2020'}
        bands: [s1]
        batch_size: 2
        num_workers: 0
    model:
      class_path: dfc2020_geo.tasks.LandCoverSegmentation
      init_args:
        model: fcn
        num_filters: 2
    trainer:
      accelerator: cpu
      max_epochs: 1
      enable_progress_bar: false
      enable_model_summary: false
      logger:
      - class_path: lightning.pytorch.loggers.CSVLogger
        init_args:
          save_dir: runs
          name: unet
      - class_path: lightning.pytorch.loggers.TensorBoardLogger
        init_args:
          save_dir: runs
          name: unet/tensorboard
          default_hp_metric: false
      callbacks:
      - class_path: dfc2020_geo.callbacks.TrainingLogger
        init_args:
          every_n_steps: 2
    """)
    monkeypatch.chdir(tmp_path)
    Path('run.yaml').write_text(yaml.safe_dump(config))
    for _ in range(2):
        main(['fit', '--config', 'run.yaml'])
    for version in ('version_0', 'version_1'):
        folder = Path('runs/unet', version)
        assert {'metrics.csv', 'images', 'checkpoints', 'fit.yaml'} <= {
            path.name for path in folder.iterdir()
        }
        table = pd.read_csv(folder / 'metrics.csv')
        events = _events(Path('runs/unet/tensorboard', version))
        written = [event.value for event in events.Scalars('train/loss')]
        assert len(written) == 3
        assert written == pytest.approx(table['train/loss'].dropna().tolist())
        assert set(events.Tags()['images']) == PICTURES

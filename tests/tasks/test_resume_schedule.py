"""A training that was stopped lowers its rates when the whole one does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from dfc2020_geo.tasks import LandCoverSegmentation

NUM_BATCHES = 4
EPOCHS = 3


class Rates(Callback):
    """Note the rate of each step, and keep a checkpoint of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rates: dict[int, float] = {}

    def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        self._note(trainer)
        # Lightning leaves out a validation that was to follow the step of a checkpoint.
        done = (trainer.global_step - 1) % NUM_BATCHES + 1
        if done != NUM_BATCHES and done % int(trainer.val_check_interval):
            trainer.save_checkpoint(self.folder / f'{trainer.global_step}.ckpt')

    def on_train_batch_start(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        self._note(trainer)

    def on_validation_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        trainer.save_checkpoint(self.folder / f'{trainer.global_step}_scored.ckpt')

    def on_train_epoch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        trainer.save_checkpoint(self.folder / f'{trainer.global_step}_end.ckpt')

    def _note(self, trainer: Trainer) -> None:
        rate = trainer.optimizers[0].param_groups[0]['lr']
        self.rates[trainer.global_step] = rate


class Scripted(LandCoverSegmentation):
    """A task whose score falls with each validation, so patience always ends."""

    def on_validation_epoch_end(self) -> None:
        self.log('val_AA', 1.0 / (1 + self.global_step))


def _fit(folder: Path, interval: int, ckpt_path: Path | None = None) -> Rates:
    folder.mkdir()
    torch.manual_seed(0)
    task = Scripted(['s1'], model='fcn', num_filters=2, patience=0, lr=0.1)
    image, mask = torch.rand(2, 8, 8), torch.zeros(8, 8, dtype=torch.long)
    samples: Any = [{'image': image, 'mask': mask}] * NUM_BATCHES
    rates = Rates(folder)
    trainer = Trainer(
        accelerator='cpu',
        max_epochs=EPOCHS,
        callbacks=[rates],
        val_check_interval=interval,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    loaders = DataLoader(samples), DataLoader(samples[:1])
    trainer.fit(task, *loaders, ckpt_path=ckpt_path, weights_only=True)
    return rates


@pytest.mark.filterwarnings('ignore::UserWarning')
@pytest.mark.parametrize('interval', [2, 3, 4])
def test_rates_of_a_resumed_run_are_those_of_the_whole(
    tmp_path: Path, interval: int
) -> None:
    whole = _fit(tmp_path / 'whole', interval).rates
    # The first score is the best one, and the last epoch ends with a reduction.
    assert len(set(whole.values())) == EPOCHS - 1
    for path in (tmp_path / 'whole').iterdir():
        step = int(path.stem.partition('_')[0])
        if step < NUM_BATCHES * EPOCHS:
            rest = _fit(tmp_path / f'from_{path.stem}', interval, path).rates
            assert rest == {s: rate for s, rate in whole.items() if s >= step}, path


def test_scores_in_a_checkpoint_are_plain_numbers(tmp_path: Path) -> None:
    # The last validation was after step 2.
    _fit(tmp_path / 'run', interval=2)
    notes = torch.load(tmp_path / 'run' / '3.ckpt', weights_only=True)['dfc2020_geo']
    assert notes['scores'] == {'val_AA': pytest.approx(1 / 3)}


def test_a_task_without_a_trainer_keeps_no_scores() -> None:
    task = LandCoverSegmentation(['s1'], model='fcn', num_filters=2)
    checkpoint: dict[str, Any] = {'hyper_parameters': dict(task.hparams)}
    task.on_save_checkpoint(checkpoint)
    assert checkpoint['dfc2020_geo']['scores'] == {}

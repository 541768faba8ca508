"""Unreadable patches are left out without moving the others, and are told of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from dfc2020_geo.callbacks import ClassMapWriter, ScoreWriter
from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.synthetic import write_sen12ms, write_unlabeled
from dfc2020_geo.tasks import LandCoverSegmentation

BANDS = ['B04', 's1']


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sen12ms(tmp_path / 'sen12ms', size=32, patches_per_scene=4)


def _data(root: Path, **changes: Any) -> LandCoverDataModule:
    arguments: dict[str, Any] = {
        'train': 'sen12ms_train', 'val': 'sen12ms_holdout', 'test': 'sen12ms_holdout',
        'sen12ms_root': root, 'bands': BANDS, 'batch_size': 4, 'num_workers': 0,
        'on_error': 'skip',
    }  # fmt: skip
    return LandCoverDataModule(**arguments | changes)


def _trainer(folder: Path, **changes: Any) -> Trainer:
    arguments: dict[str, Any] = {
        'accelerator': 'cpu', 'logger': False, 'enable_progress_bar': False,
        'enable_checkpointing': False, 'enable_model_summary': False,
        'default_root_dir': folder, 'max_epochs': 1, 'num_sanity_val_steps': 0,
    }  # fmt: skip
    return Trainer(**arguments | changes)


def _task() -> LandCoverSegmentation:
    return LandCoverSegmentation(BANDS, model='fcn', num_filters=2)


def _damage(data: LandCoverDataModule, split: str, *indices: int) -> list[str]:
    data.setup('test' if split == 'test' else 'fit')
    dataset = getattr(data, f'{split}_dataset')
    for index in indices:
        path = dataset.files[index].s1
        path.write_bytes(path.read_bytes()[:200])
    return [dataset.files[index].id for index in indices]


@pytest.mark.parametrize('workers', ['threads', 'processes'])
@pytest.mark.parametrize('damaged', [(0,), (1, 2), (0, 1, 2, 3)])
def test_its_place_stays_without_data_and_ignored(
    root: Path, workers: str, damaged: tuple[int, ...]
) -> None:
    whole = _data(root)
    whole.setup('test')
    expected = list(whole.test_dataloader())
    data = _data(root, workers=workers, num_workers=1)
    _damage(data, 'test', *damaged)
    found = list(data.test_dataloader())
    assert len(found) == len(expected)
    for number, (batch, before) in enumerate(zip(found, expected, strict=True)):
        unread = batch.pop('unread').flatten().tolist()
        before.pop('unread')
        for row, position in enumerate(unread):
            index = number * 4 + row
            assert position == (index if index in damaged else -1)
            if index in damaged:
                assert batch['s1'][row].isnan().all()
                assert not batch['s2'][row].any()
                assert (batch['mask'][row] == IGNORE_INDEX).all()
            else:
                assert all(torch.equal(batch[n][row], before[n][row]) for n in before)


def test_scores_say_how_many_are_left_out(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _data(root)
    names = _damage(data, 'test', 0, 5)
    writer = ScoreWriter(tmp_path / 'scores')
    trainer = _trainer(tmp_path, callbacks=[writer])
    with pytest.warns(
        UserWarning, match=f'Left out 2 patches of test, .*: {", ".join(names)}'
    ):
        trainer.test(_task(), datamodule=data, verbose=False)
    told = json.loads((tmp_path / 'scores/sen12ms_holdout.json').read_text())
    assert told['unread'] == 2
    assert '2 patches could not be read and are left out' in told['note']
    assert told['pixels'] <= (len(data.test_dataset) - 2) * 32 * 32
    assert 'could not be read' in capsys.readouterr().out


def test_training_goes_on_with_the_same_steps(root: Path, tmp_path: Path) -> None:
    steps = []
    for damaged in ((), (0, 3)):
        data = _data(root)
        _damage(data, 'train', *damaged)
        trainer = _trainer(tmp_path, limit_val_batches=0)
        if damaged:
            with pytest.warns(UserWarning, match='Left out 2 patches of train'):
                trainer.fit(_task(), datamodule=data)
        else:
            trainer.fit(_task(), datamodule=data)
        steps.append(trainer.global_step)
    assert steps[0] == steps[1] > 0


def test_an_unreadable_patch_gets_no_map(tmp_path: Path) -> None:
    root = write_unlabeled(tmp_path / 'data', size=32, num_patches=3)
    data = _data(root, unlabeled_root=root)
    path = sorted((root / 's1').glob('*.tif'))[1]
    path.write_bytes(path.read_bytes()[:200])
    maps = tmp_path / 'maps'
    trainer = _trainer(tmp_path, callbacks=[ClassMapWriter(maps)])
    with pytest.warns(UserWarning, match='Left out 1 patches of predict'):
        trainer.predict(_task(), datamodule=data, return_predictions=False)
    record = json.loads((maps / 'run.json').read_text())
    named = {name for name in record['outputs'] if name.endswith('.tif')}
    assert named - {'north_pred_002.tif'} == {p.name for p in maps.glob('*.tif')}
    assert not record['finished']


def test_a_damaged_patch_stops_by_default(root: Path) -> None:
    data = _data(root)
    _damage(data, 'test', 1)
    with pytest.raises(RuntimeError, match='damaged'):
        _data(root, on_error='stop').setup('test')
    with pytest.raises(ValueError, match='Expected on_error to be one of'):
        _data(root, on_error='ignore')


def test_a_loss_that_is_no_number_names_its_patches(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, task = _data(root, on_error='stop', check='off'), _task()
    trainer = _trainer(tmp_path, limit_val_batches=0)
    seen: list[list[float]] = []
    forward = task.compute_logits

    def compute(x: torch.Tensor) -> torch.Tensor:
        seen.append(x[:, 0].flatten(1).mean(1).tolist())
        return forward(x) * (torch.nan if len(seen) == 2 else 1)

    monkeypatch.setattr(task, 'compute_logits', compute)
    with pytest.raises(RuntimeError, match='got nan in batch 1 of epoch 0') as error:
        trainer.fit(task, datamodule=data)
    dataset = data.train_dataset
    means = {
        patch.id: float(np.clip(dataset[i]['image'][0] / 1e4, 0, 1).mean())
        for i, patch in enumerate(dataset.files)
    }
    named = str(error.value).partition('patches ')[2].partition(';')[0].split(', ')
    assert [means[name] for name in named] == pytest.approx(seen[1], rel=1e-4)

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kornia.augmentation as K
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torchgeo.datasets import DatasetNotFoundError

from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.sets import SETS

# The names that the golden figures have for sets and bands.
GOLDEN_SETS = {
    'sen12ms_train': 'sen12ms_train',
    'sen12ms_holdout': 'sen12ms_holdout',
    'dfc2020_val': 'dfc2020_val',
    'dfc2020_test': 'dfc2020_test',
    'tiff_dir': 'unlabeled',
}
GOLDEN_BANDS = {
    's1': ['s1'],
    's2hr': ['s2-10m'],
    's2mr': ['s2-20m'],
    's2lr': ['s2-60m'],
    's1_s2hr_s2mr': ['s1', 's2-10m', 's2-20m'],
    'all': ['s1', 's2'],
}


def _datamodule(tree: Path, **arguments: Any) -> LandCoverDataModule:
    roots = {
        'sen12ms_root': tree / 'sen12ms',
        'dfc2020_root': tree / 'dfc2020',
        'unlabeled_root': tree / 'tiffs',
        'num_workers': 0,
    }
    return LandCoverDataModule(**roots | arguments)


@pytest.mark.parametrize('bands', GOLDEN_BANDS)
@pytest.mark.parametrize('golden', GOLDEN_SETS)
def test_samples_are_those_of_the_2020_baseline(
    baseline_tree: Path, golden: str, bands: str
) -> None:
    names = {'predict': GOLDEN_SETS[golden], 'bands': GOLDEN_BANDS[bands]}
    datamodule = _datamodule(baseline_tree, **names, nan='baseline', batch_size=1)
    datamodule.setup('predict')
    samples = np.load(Path(__file__).parent / 'data' / 'samples.npz')
    checked = 0
    for index, batch in enumerate(datamodule.predict_dataloader()):
        key = f'{golden}/{bands}/{index}/image'
        if key not in samples:
            continue
        image = datamodule.aug(batch)['image'][0].numpy()
        assert np.array_equal(image[:, ::6, ::6], samples[key])
        sums = image.astype(np.float64).sum(axis=(1, 2))
        np.testing.assert_allclose(sums, samples[f'{key}_sum'], rtol=1e-6)
        checked += 1
    assert checked > 0


def _steps(datamodule: LandCoverDataModule) -> list[int]:
    datamodule.setup('fit')
    return [len(batch['image']) for batch in datamodule.train_dataloader()]


@pytest.mark.parametrize(
    ('batch_size', 'expected'),
    [(64, [7]), (7, [7]), (5, [5, 2]), (6, [6]), (3, [3, 3]), (1, [1] * 7)],
)
def test_no_patch_is_dropped_but_a_remainder_of_one(
    baseline_tree: Path, batch_size: int, expected: list[int]
) -> None:
    assert _steps(_datamodule(baseline_tree, batch_size=batch_size)) == expected


def test_every_set_has_a_name() -> None:
    assert {
        'sen12ms_train',
        'sen12ms_holdout',
        'sen12ms_geo_train',
        'sen12ms_geo_val',
        'dfc2020_val',
        'dfc2020_test',
        'dfc2020_all',
        'dfc2020_copernicus_train',
        'dfc2020_copernicus_val',
        'dfc2020_copernicus_test',
        'unlabeled',
    } == set(SETS)


def test_mean_and_std_undo_the_scaling(baseline_tree: Path) -> None:
    datamodule = _datamodule(baseline_tree, val='dfc2020_test')
    datamodule.setup('validate')
    batch = next(iter(datamodule.val_dataloader()))
    scaled = datamodule.aug(batch)['image']
    raw = K.Denormalize(datamodule.mean, datamodule.std)(scaled)
    low = datamodule.mean[:, None, None]
    clipped = (
        batch['image'].nan_to_num(-25).clamp(low, low + datamodule.std[:, None, None])
    )
    torch.testing.assert_close(raw, clipped, atol=2e-3, rtol=0)


def test_pixels_without_input_are_ignored_in_training_alone() -> None:
    batch = {'image': torch.ones(1, 2, 4, 4), 'mask': torch.zeros(1, 4, 4).long()}
    batch['image'][..., 0] = torch.nan
    stage = dict.fromkeys(('training', 'validating', 'testing', 'predicting'), False)
    stage['sanity_checking'] = False

    def prepared(name: str, **arguments: Any) -> dict[str, torch.Tensor]:
        datamodule = LandCoverDataModule(bands=['s1'], num_workers=0, **arguments)
        datamodule.trainer = SimpleNamespace(**stage | {name: True})
        return datamodule.on_after_batch_transfer(dict(batch), 0)

    assert (prepared('training')['mask'][..., 0] == IGNORE_INDEX).all()
    assert (prepared('training')['mask'][..., 1:] == 0).all()
    assert (prepared('testing')['mask'] == 0).all()
    assert prepared('predicting')['valid'].tolist() == [[[False, True, True, True]] * 4]
    for name in ('training', 'predicting'):
        as_in_2020 = prepared(name, nan='baseline')
        assert (as_in_2020['mask'] == 0).all()
        assert 'valid' not in as_in_2020
        assert (as_in_2020['image'][..., 0] == 1).all()


def test_augmentations_serve_training_alone(baseline_tree: Path) -> None:
    flip = K.RandomHorizontalFlip(p=1.0)
    datamodule = _datamodule(baseline_tree, augmentations=[flip])
    batch = {'image': torch.rand(1, 12, 4, 4), 'mask': torch.rand(1, 4, 4).long()}
    plain, augmented = datamodule.aug(batch), datamodule.train_aug(batch)  # ty: ignore
    assert torch.equal(plain['image'].flip(-1), augmented['image'])


@pytest.mark.parametrize('num_processes', [2, 4, 5])
def test_shares_of_evaluation_hold_each_patch_once(
    baseline_tree: Path, num_processes: int
) -> None:
    datamodule = _datamodule(baseline_tree, batch_size=1)
    datamodule.setup('test')
    datamodule.trainer = SimpleNamespace(world_size=num_processes)
    batches = list(datamodule.test_dataloader())
    assert len(batches) % num_processes == 0
    scored = [batch for batch in batches if (batch['mask'] != IGNORE_INDEX).any()]
    assert len(scored) == 3


def test_patches_of_two_sizes_say_what_to_do(baseline_tree: Path) -> None:
    datamodule = _datamodule(baseline_tree)
    samples = [{'image': torch.rand(1, size, 4)} for size in (4, 5)]
    with pytest.raises(
        ValueError, match=r'\[\(4, 4\), \(5, 4\)\].*--data.batch_size 1'
    ):
        datamodule.collate_fn(samples)


def test_unknown_or_unfit_sets_are_named(baseline_tree: Path) -> None:
    with pytest.raises(ValueError, match=r"train to be a set of .*, got 'sen12ms'"):
        LandCoverDataModule(train='sen12ms')
    with pytest.raises(ValueError, match="labelled set for test, got 'unlabeled'"):
        _datamodule(baseline_tree, test='unlabeled').setup('test')


def test_stages_of_a_trainer_are_taken_as_they_come(baseline_tree: Path) -> None:
    from torchgeo.tasks import SemanticSegmentation

    task = SemanticSegmentation(
        'fcn', in_channels=12, num_classes=10, ignore_index=IGNORE_INDEX, num_filters=2
    )
    trainer = Trainer(accelerator='cpu', logger=False, max_epochs=1, num_sanity_val_steps=0,
                      enable_progress_bar=False, enable_model_summary=False,
                      enable_checkpointing=False)  # fmt: skip
    datamodule = _datamodule(baseline_tree, batch_size=4)
    trainer.fit(task, datamodule=datamodule)
    assert trainer.global_step == 2
    (scores,) = trainer.test(task, datamodule=datamodule, verbose=False)
    assert 0 <= scores['test_OverallAccuracy'] <= 1


def test_validation_can_have_a_root_of_its_own(
    baseline_tree: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(baseline_tree / 'sen12ms', tmp_path / 'copy')
    datamodule = _datamodule(baseline_tree, val='sen12ms_holdout', val_root=copy)
    datamodule.setup('fit')
    assert datamodule.train_dataset is not None
    assert datamodule.val_dataset is not None
    assert datamodule.train_dataset.root == baseline_tree / 'sen12ms'
    assert datamodule.val_dataset.root == copy
    with pytest.raises(DatasetNotFoundError, match=r'--data\.val_root is its root'):
        _datamodule(baseline_tree, val_root=tmp_path / 'none').setup('validate')

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kornia.augmentation as K
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import (
    DoublePrecision,
    HalfPrecision,
    Precision,
)
from torch.utils.data import Dataset
from torchgeo.datasets import DatasetNotFoundError

from dfc2020_geo.callbacks import ClassMapWriter, PreviewWriter
from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.datamodules.named_sets import SETS
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support import DATA

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
    samples = np.load(DATA / 'samples.npz')
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
    return [len(batch['mask']) for batch in datamodule.train_dataloader()]


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
    assert datamodule.val_dataset is not None
    image = datamodule.val_dataset[0]['image'][None]
    scaled = datamodule.aug({'image': image})['image']
    raw = K.Denormalize(datamodule.mean, datamodule.std)(scaled)
    low = datamodule.mean[:, None, None]
    clipped = image.nan_to_num(-25).clamp(low, low + datamodule.std[:, None, None])
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
def test_a_padded_evaluation_set_has_each_patch_once(
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


def test_an_unknown_stage_is_named(baseline_tree: Path) -> None:
    with pytest.raises(ValueError, match=r"stages \('fit', .*'predict'\), got 'train'"):
        _datamodule(baseline_tree).setup('train')


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


def _scaled(image: np.ndarray, nan: str) -> np.ndarray:
    """Scale the default bands as the 2020 baseline does, but for NaN."""
    s2, s1 = image[:10], image[10:]
    s2 = np.clip(np.where(np.isnan(s2), 0, s2), 0, 10_000) / np.float32(10_000)
    s1 = np.where(np.isnan(s1), np.float32(-25 if nan == 'lowest' else 0), s1)
    return np.concatenate([s2, np.clip(s1, -25, 0) / np.float32(25) + np.float32(1)])


def _trainer(stage: str, **arguments: Any) -> SimpleNamespace:
    stages = ('training', 'validating', 'testing', 'predicting', 'sanity_checking')
    return SimpleNamespace(
        **{name: name == stage for name in stages},
        world_size=1,
        precision_plugin=arguments.pop('precision', Precision()),
    )


@pytest.mark.parametrize('nan', ['lowest', 'baseline'])
@pytest.mark.parametrize(
    ('workers', 'num_workers'), [('threads', 0), ('threads', 2), ('processes', 1)]
)
def test_batches_are_raw_patches_until_they_are_on_the_device(
    baseline_tree: Path, workers: Any, num_workers: int, nan: Any
) -> None:
    datamodule = _datamodule(
        baseline_tree, predict='sen12ms_holdout', workers=workers, nan=nan,
        num_workers=num_workers, batch_size=2,
    )  # fmt: skip
    datamodule.setup('predict')
    datamodule.trainer = _trainer('predicting')
    dataset: Any = datamodule.predict_dataset
    start = 0
    for batch in datamodule.predict_dataloader():
        assert {k: v.dtype for k, v in batch.items()} == {
            's2': torch.uint16,
            's1': torch.float32,
            'mask': torch.uint8,
        }
        prepared = datamodule.on_after_batch_transfer(batch, 0)
        assert ('valid' in prepared) == (nan == 'lowest')
        for place in range(len(batch['mask'])):
            sample = dataset[start + place]
            image = sample['image'].numpy()
            found = prepared['image'][place].numpy()
            assert np.array_equal(found, _scaled(image, nan))
            assert torch.equal(prepared['mask'][place], sample['mask'])
            if nan == 'lowest':
                valid = (np.isfinite(image) & (image != 0)).any(axis=0)
                assert np.array_equal(prepared['valid'][place], valid)
        start += len(batch['mask'])
    assert start == len(dataset) > 2


def test_pixels_of_raw_patches_without_data_are_ignored_in_training() -> None:
    batch = {
        's2': torch.zeros(1, 1, 1, 4, dtype=torch.uint16),
        's1': torch.tensor([torch.nan, 0, -torch.inf, -3]).reshape(1, 1, 1, 4),
        'mask': torch.tensor([[[1, 2, 255, 3]]], dtype=torch.uint8),
    }
    batch['s2'][..., 1] = 5

    def prepared(stage: str, **arguments: Any) -> dict[str, torch.Tensor]:
        datamodule = LandCoverDataModule(
            bands=['B02', 'VV'], num_workers=0, **arguments
        )
        datamodule.trainer = _trainer(stage)  # ty: ignore[invalid-assignment]
        return datamodule.on_after_batch_transfer(dict(batch), 0)

    assert prepared('training')['mask'].tolist() == [[[255, 2, 255, 3]]]
    for stage in ('validating', 'sanity_checking', 'testing', 'predicting'):
        assert prepared(stage)['mask'].tolist() == [[[1, 2, 255, 3]]]
    assert prepared('training', nan='baseline')['mask'].tolist() == [[[1, 2, 255, 3]]]
    valid = prepared('predicting')['valid']
    assert valid.tolist() == [[[False, True, False, True]]]
    assert 'valid' not in prepared('predicting', nan='baseline')


def test_augmentations_of_others_get_images_in_file_units(baseline_tree: Path) -> None:
    for name in ('aug', 'val_aug'):
        datamodule = _datamodule(baseline_tree, val='sen12ms_holdout', batch_size=1)
        datamodule.setup('validate')
        datamodule.trainer = _trainer('validating')
        setattr(datamodule, name, lambda batch: batch | {'seen': batch['image']})
        dataset: Any = datamodule.val_dataset
        for index, batch in enumerate(datamodule.val_dataloader()):
            seen = datamodule.on_after_batch_transfer(batch, 0)['seen']
            assert torch.equal(seen[0].isnan(), dataset[index]['image'].isnan())
            assert torch.equal(
                seen[0].nan_to_num(), dataset[index]['image'].nan_to_num()
            )


class Patches(Dataset[dict[str, torch.Tensor]]):
    """Somebody's own patches."""

    transforms = None

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image = torch.full((12, 4, 4), 100.0 * index)
        image[10:] = torch.nan
        return {'image': image, 'mask': torch.full((4, 4), index)}


def test_sets_of_others_are_loaded_as_samples() -> None:
    datamodule = LandCoverDataModule(num_workers=0, batch_size=2)
    datamodule.test_dataset = Patches()
    datamodule.trainer = _trainer('testing')  # ty: ignore[invalid-assignment]
    datamodule.trainer.world_size = 2
    batches = [
        datamodule.on_after_batch_transfer(batch, 0)
        for batch in datamodule.test_dataloader()
    ]
    images = torch.cat([batch['image'] for batch in batches])
    masks = torch.cat([batch['mask'] for batch in batches])
    assert images[:, 0, 0, 0].tolist() == pytest.approx([0, 0.01, 0.02, 0])
    assert (images[:, 10:] == 0).all()
    assert masks[:, 0, 0].tolist() == [0, 1, 2, IGNORE_INDEX]


@pytest.mark.parametrize('workers', ['threads', 'processes'])
def test_a_padded_raw_set_ends_with_ignored_patches(
    baseline_tree: Path, workers: Any
) -> None:
    datamodule = _datamodule(baseline_tree, batch_size=4, workers=workers)
    datamodule.setup('test')
    datamodule.trainer = SimpleNamespace(world_size=4)
    (batch,) = datamodule.test_dataloader()
    dataset: Any = datamodule.test_dataset
    assert 's2' in batch
    assert (batch['mask'][3] == IGNORE_INDEX).all()
    for index in range(3):
        assert torch.equal(batch['mask'][index].long(), dataset[index]['mask'])
    (again,) = datamodule.test_dataloader()
    assert torch.equal(again['mask'], batch['mask'])


@pytest.mark.parametrize('precision', ['32-true', '64-true', 'bf16-true', '16-true'])
def test_images_have_the_precision_of_the_network(
    baseline_tree: Path, precision: Any
) -> None:
    plugin = {
        '32-true': Precision,
        '64-true': DoublePrecision,
        'bf16-true': lambda: HalfPrecision('bf16-true'),
        '16-true': lambda: HalfPrecision('16-true'),
    }[precision]()
    datamodule = _datamodule(baseline_tree, val='sen12ms_holdout', batch_size=2)
    datamodule.setup('validate')
    datamodule.trainer = _trainer('validating', precision=plugin)
    batch = next(iter(datamodule.val_dataloader()))
    exact = datamodule.aug(batch)['image']
    prepared = datamodule.on_after_batch_transfer(plugin.convert_input(batch), 0)
    expected = plugin.convert_input({'image': exact})['image']
    assert prepared['image'].dtype == expected.dtype
    assert prepared['mask'].dtype == torch.int64
    # Lightning rounds Sentinel-1 in file units, too; in float64 all of it is exact.
    tolerance = 2 * max(torch.finfo(expected.dtype).eps, 1e-7)
    torch.testing.assert_close(prepared['image'], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize('workers', ['threads', 'processes'])
def test_writers_of_predictions_find_the_set(
    baseline_tree: Path, tmp_path: Path, workers: Any
) -> None:
    task = LandCoverSegmentation(['s1', 's2-10m'], model='fcn', num_filters=2)
    datamodule = _datamodule(
        baseline_tree, bands=['s1', 's2-10m'], workers=workers, num_workers=1
    )
    writers = [ClassMapWriter(tmp_path / 'maps'), PreviewWriter(tmp_path / 'previews')]
    trainer = Trainer(
        accelerator='cpu', logger=False, callbacks=writers, enable_progress_bar=False
    )
    trainer.predict(task, datamodule=datamodule, return_predictions=False)
    assert len(list((tmp_path / 'maps').glob('*.tif'))) == 3
    assert len(list((tmp_path / 'previews').glob('*.png'))) == 3


@pytest.mark.parametrize('stage', ['fit', 'validate', 'test', 'predict'])
def test_loaders_without_their_datamodule_say_what_to_do(
    baseline_tree: Path, stage: str
) -> None:
    data = LandCoverDataModule(
        val='sen12ms_holdout', test='sen12ms_holdout', predict='sen12ms_holdout',
        sen12ms_root=baseline_tree / 'sen12ms', bands=['s1'], num_workers=0,
    )  # fmt: skip
    data.setup(stage)
    names = {'fit': 'train', 'validate': 'val'}
    loader = getattr(data, f'{names.get(stage, stage)}_dataloader')()
    task = LandCoverSegmentation(['s1'], model='fcn', num_filters=2)
    trainer = Trainer(
        accelerator='cpu', logger=False, enable_checkpointing=False, max_epochs=1,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"'image', got \[.*'s1'\].*datamodule=..."):
        getattr(trainer, stage)(task, loader)


@pytest.mark.parametrize('stage', ['validate', 'predict'])
def test_what_a_loader_gives_can_be_drawn(baseline_tree: Path, stage: str) -> None:
    data = _datamodule(baseline_tree, batch_size=2)
    with pytest.raises(ValueError, match=r"call setup\('fit'\) first"):
        data.plot({})
    data.setup(stage)
    is_labelled = stage == 'validate'
    loader = data.val_dataloader() if is_labelled else data.predict_dataloader()
    (batch, *_) = loader
    dataset = data.val_dataset if is_labelled else data.predict_dataset
    expected = dataset.plot(dataset[1])
    found = data.plot(batch, index=1)
    assert len(found.axes) == 1 + is_labelled
    for one, other in zip(found.axes, expected.axes, strict=True):
        assert np.array_equal(one.images[0].get_array(), other.images[0].get_array())
    predicted = dataset[0] | {'prediction': torch.ones(64, 64).byte()}
    assert len(data.plot(predicted).axes) == 2 + is_labelled

"""Training and scoring on scenes: what is drawn, and what is counted."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer, seed_everything
from sklearn.metrics import confusion_matrix, recall_score
from torch import nn
from torchgeo.datasets import Sentinel1, Sentinel2

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.callbacks import ScoreWriter
from dfc2020_geo.classes import IGNORE_INDEX, get_scheme
from dfc2020_geo.datamodules.scene_patches import GriddedPatches, RandomPatches
from dfc2020_geo.datamodules.scenes import SceneTrainingDataModule
from dfc2020_geo.datasets import JoinedScenes
from dfc2020_geo.main import main
from dfc2020_geo.samplers.windows import WindowSampler
from dfc2020_geo.synthetic import write_scene
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support.processes import run_two
from tests.support.scene_rasters import Place, codes, s1_image, s2_image, write

BANDS = ['s2-10m', 's1']

#: Scenes of odd sizes in two zones; the last one is smaller than most patches.
PLACES = {
    'a': Place('EPSG:32632', 412345.67, 5390000.81, 41, 57),
    'b': Place('EPSG:32733', 612000.125, 8123456.7, 67, 33),
    'c': Place('EPSG:32733', 652000.9, 8123456.7, 9, 20),
}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes with noise, labels of another extent, and a strip without Sentinel-2."""
    folder = tmp_path_factory.mktemp('scenes')
    rng = np.random.default_rng(0)
    for name, place in PLACES.items():
        s2 = rng.integers(1, 9000, (13, place.height, place.width)).astype(np.uint16)
        s2[:, :2] = 0
        s1 = rng.uniform(-24, -1, (2, place.height, place.width)).astype(np.float32)
        moved = Place(place.crs, place.x + 70, place.y + 30, place.height, place.width)
        write(folder / 's2' / f'{name}.tif', s2, place)
        write(folder / 's1' / f'{name}.tif', s1, place)
        write(folder / 'labels' / f'{name}.tif', codes(moved, place), moved)
    return folder


def _truth(place: Place) -> np.ndarray:
    """Class indices that are to be scored in a scene."""
    found = codes(place)[0].astype(int)
    found[-3:], found[:, :7], found[:2] = 0, 0, 0
    return np.where(found == 0, IGNORE_INDEX, found - 1)


def _datamodule(root: Path, **changes: object) -> SceneTrainingDataModule:
    arguments: dict[str, object] = {'bands': BANDS, 'num_workers': 0}
    for split in ('train', 'val', 'test'):
        for kind in ('s2', 's1', 'labels'):
            arguments[f'{split}_{kind}'] = root / kind
    return SceneTrainingDataModule(**arguments | changes)  # ty: ignore[invalid-argument-type]


def _trainer(folder: Path, **changes: object) -> Trainer:
    arguments: dict[str, object] = {
        'accelerator': 'cpu', 'logger': False, 'enable_progress_bar': False,
        'enable_checkpointing': False, 'enable_model_summary': False,
        'default_root_dir': folder,
    }  # fmt: skip
    return Trainer(**arguments | changes)  # ty: ignore[invalid-argument-type]


def _pointwise() -> LandCoverSegmentation:
    """A task whose network looks at one pixel at a time."""
    torch.manual_seed(0)
    task = LandCoverSegmentation(BANDS, model='fcn', num_filters=2)
    task.model = nn.Conv2d(6, 10, 1)
    return task


def _predict_whole(root: Path, name: str, network: nn.Conv2d) -> np.ndarray:
    """Predict a scene without the package: read, scale, multiply, choose."""
    with rasterio.open(root / 's2' / f'{name}.tif') as raster:
        s2 = raster.read([2, 3, 4, 8]).astype(np.float32) / 10_000
    with rasterio.open(root / 's1' / f'{name}.tif') as raster:
        s1 = raster.read().astype(np.float32) / 25 + 1
    image = np.concatenate([s2, s1])
    weight = network.weight.detach().numpy()[:, :, 0, 0]
    assert network.bias is not None
    bias = network.bias.detach().numpy()[:, None, None]
    return (np.einsum('kc,chw->khw', weight, image) + bias).argmax(0)


@pytest.mark.parametrize(
    ('patch_size', 'overlap', 'batch_size'),
    [(16, 0, 4), (16, 5, 3), (31, 0, 7), (64, 0, 2), (128, 40, 1), (9, 4, 64)],
)
def test_every_labelled_pixel_is_scored_once(
    root: Path, tmp_path: Path, patch_size: int, overlap: int, batch_size: int
) -> None:
    task = _pointwise()
    data = _datamodule(
        root, patch_size=patch_size, overlap=overlap, batch_size=batch_size
    )
    writer = ScoreWriter(tmp_path)
    _trainer(tmp_path, callbacks=[writer]).test(task, datamodule=data, verbose=False)
    truth, predicted = [], []
    for name, place in PLACES.items():
        counts = _truth(place) != IGNORE_INDEX
        truth.append(_truth(place)[counts])
        predicted.append(_predict_whole(root, name, task.model)[counts])
    expected = confusion_matrix(
        np.concatenate(truth), np.concatenate(predicted), labels=range(10)
    )
    assert expected.sum() > 3000
    found = np.array(writer.summary['confusion_matrix'])
    # Two logits may be equal but for the order of a sum.
    assert np.abs(found - expected).sum() <= 4
    np.testing.assert_array_equal(found.sum(axis=1), expected.sum(axis=1))
    assert writer.summary['pixels'] == expected.sum()
    recall = recall_score(
        np.concatenate(truth), np.concatenate(predicted), average='macro',
        labels=np.unique(np.concatenate(truth)), zero_division=0,
    )  # fmt: skip
    assert writer.summary['scores']['AA'] == pytest.approx(recall, abs=1e-3)


def test_labels_in_another_crs_are_counted_once_however_they_are_cut(
    tmp_path: Path,
) -> None:
    place = PLACES['a']
    turned = Place('EPSG:32633', -29431.3, 5414400.9, 60, 40)
    write(tmp_path / 's2' / 'a.tif', s2_image(place), place)
    write(tmp_path / 's1' / 'a.tif', s1_image(place, place), place)
    write(tmp_path / 'labels' / 'a.tif', np.full((1, 60, 40), 4, np.uint8), turned)
    counts = set()
    for size in (8, 19, 200):
        data = _datamodule(tmp_path, patch_size=size, batch_size=5, check='off')
        data.setup('test')
        masks = [batch['mask'] for batch in data.test_dataloader()]
        assert {*torch.cat([m.flatten() for m in masks]).tolist()} == {3, IGNORE_INDEX}
        counts.add(sum(int((mask == 3).sum()) for mask in masks))
    assert len(counts) == 1
    assert 500 < counts.pop() < 41 * 57


def _open(root: Path) -> list[JoinedScenes]:
    data = _datamodule(root)
    data.setup('test')
    assert isinstance(data.test_dataset, GriddedPatches)
    return data.test_dataset.scenes


def test_random_patches_reach_every_pixel_and_stay_inside(root: Path) -> None:
    patches = RandomPatches(_open(root), (24, 24), get_scheme('dfc2020'), length=3000)
    seen = [np.zeros((p.height, p.width), int) for p in PLACES.values()]
    for window in patches.draw(0, 0):
        place = list(PLACES.values())[window.scene]
        assert 0 <= window.rows.start < window.rows.stop <= place.height
        assert 0 <= window.columns.start < window.columns.stop <= place.width
        rows = slice(window.rows.start, window.rows.stop)
        seen[window.scene][rows, window.columns.start : window.columns.stop] += 1
    for place, count in zip(PLACES.values(), seen, strict=True):
        assert count[_truth(place) != IGNORE_INDEX].min() > 0
    first = [w.columns.start for w in patches.draw(0, 0) if w.scene == 0]
    places, counts = np.unique(first, return_counts=True)
    assert places.tolist() == list(range(57 - 24 + 1))
    assert counts.max() < 3 * counts.min() + 10  # edges as likely as the middle
    shares = np.bincount([w.scene for w in patches.draw(0, 0)]) / 3000
    areas = np.array([(p.height - 3) * (p.width - 7) for p in PLACES.values()])
    np.testing.assert_allclose(shares, areas / areas.sum(), atol=0.03)


def test_patches_follow_from_seed_and_epoch_alone(root: Path) -> None:
    patches = RandomPatches(_open(root), (16, 16), get_scheme('dfc2020'), length=25)

    def epochs(seed: int, disturb: bool = False) -> list:
        seed_everything(seed)
        sampler = WindowSampler(patches, 4)
        drawn = []
        for _ in range(3):
            drawn.append(list(sampler))
            if disturb:
                np.random.default_rng().random(7)
                torch.rand(9)
        return drawn

    one = epochs(1)
    assert one == epochs(1, disturb=True)
    assert one[0] != one[1]
    assert one != epochs(2)
    assert [len(epoch) for epoch in one] == [25, 25, 25]


def test_workers_load_what_the_process_itself_loads(root: Path) -> None:
    batches = []
    for num_workers in (0, 2):
        seed_everything(3)
        data = _datamodule(root, patch_size=16, num_workers=num_workers, batch_size=4)
        data.setup('fit')
        batches.append([b for _ in range(2) for b in data.train_dataloader()])
    for one, two in zip(*batches, strict=True):
        assert torch.equal(one['mask'], two['mask'])
        assert torch.equal(one['image'].nan_to_num(), two['image'].nan_to_num())


def test_images_and_masks_stay_together_through_training(root: Path) -> None:
    data = _datamodule(root, patch_size=24, batch_size=4)
    data.setup('fit')
    for batch in data.train_dataloader():
        assert batch.keys() == {'image', 'mask'}
        assert batch['image'].shape[1:] == (6, 24, 24)
        assert batch['image'].dtype == torch.float32
        nothing = (batch['image'][:, :4] == 0).all(dim=1)
        assert (batch['mask'][nothing] == IGNORE_INDEX).all()
        assert data.train_aug is not None
        ready = data.train_aug(batch)
        assert float(ready['image'].min()) >= 0
        assert float(ready['image'].max()) <= 1


def _fit(
    root: Path, folder: Path, checkpoint: Path | None = None, **trainer: object
) -> tuple:
    seed_everything(0)
    task = LandCoverSegmentation(BANDS, model='fcn', num_filters=2)
    data = _datamodule(root, patch_size=16, batch_size=4, length=14)
    fit = _trainer(folder, limit_val_batches=0, **trainer)
    fit.fit(task, datamodule=data, ckpt_path=checkpoint)
    return task, fit


def test_a_stopped_training_goes_on_with_the_same_patches(
    root: Path, tmp_path: Path
) -> None:
    whole, _ = _fit(root, tmp_path, max_steps=9)
    _, stopped = _fit(root, tmp_path, max_steps=6)
    stopped.save_checkpoint(tmp_path / 'six.ckpt')
    resumed, _ = _fit(root, tmp_path, tmp_path / 'six.ckpt', max_steps=9)
    for one, two in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)


def test_sets_are_padded_to_the_process_count_and_nothing_is_scored_twice(
    root: Path,
) -> None:
    patches = GriddedPatches(_open(root), (16, 16), get_scheme('dfc2020'))
    total = sum(int((s['mask'] != IGNORE_INDEX).sum()) for s in patches)
    before = len(patches)
    patches.pad(4)
    assert len(patches) % 4 == 0
    assert len(patches) > before
    assert sum(int((s['mask'] != IGNORE_INDEX).sum()) for s in patches) == total
    assert total == sum((_truth(p) != IGNORE_INDEX).sum() for p in PLACES.values())


def test_facts_must_be_those_of_the_task(root: Path, tmp_path: Path) -> None:
    task = LandCoverSegmentation(['s2'], model='fcn')
    with pytest.raises(
        ValueError, match=r'Expected the same bands under model and data'
    ):
        _trainer(tmp_path).test(task, datamodule=_datamodule(root))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'patch_size': 0}, r'patch_size and length from 1'),
        ({'batch_size': 0}, r'batch_size from 1 and num_workers from 0'),
        ({'overlap': 256}, r'overlap from 0 and smaller than patch_size=256, got 256'),
        ({'legend': 'modis'}, r"legend to be one of .* got 'modis'"),
        ({'bands': ['B99']}, r"got \['B99'\]"),
        ({'length': 0}, r'length from 1'),
    ],
)
def test_settings_that_make_no_patches_are_refused(
    root: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _datamodule(root, **changes)


def test_what_is_missing_is_named_with_its_flag(root: Path) -> None:
    with pytest.raises(ValueError, match=r'of s1 for val, got none; .*--data.val_s1'):
        _datamodule(root, val_s1=None).setup('validate')
    with pytest.raises(ValueError, match=r'of labels for test, .*--data.test_labels'):
        _datamodule(root, test_labels=None).setup('test')
    with pytest.raises(ValueError, match=r'stages .* got predict; map scenes with'):
        _datamodule(root).setup('predict')
    _datamodule(root, test_s1=None, bands=['s2']).setup('test')


def test_paths_inside_an_archive_keep_their_slashes(root: Path, tmp_path: Path) -> None:
    archive = tmp_path / 'scenes.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        file.write(root / 's2' / 'a.tif', 's2/a.tif')
    parser = ArgumentParser()
    parser.add_class_arguments(SceneTrainingDataModule, 'data')
    given = parser.parse_args([f'--data.test_s2=/vsizip/{archive}/s2']).data.test_s2
    data = _datamodule(root, bands=['s2-10m'], test_s2=given)
    data.setup('test')
    assert isinstance(data.test_dataset, GriddedPatches)
    [scene] = data.test_dataset.scenes
    assert scene.grid.height == PLACES['a'].height


def _write_torchgeos(folder: Path, place: Place) -> None:
    for name, image in zip(BAND_SETS['s2'], s2_image(place), strict=True):
        path = folder / 's2' / f'T{place.crs[-2:]}TQM_20200601T100559_{name}.tif'
        write(path, image[None], place)
    for name, image in zip(('VV', 'VH'), s1_image(place, place), strict=True):
        stem = f'S1A_IW_20200105T052423_DVP_RTC10_G_sduned_12{place.crs[-2:]}'
        write(folder / 's1' / f'{stem}_{name}.tif', image[None], place)
    write(folder / 'labels' / f'{place.crs[-2:]}.tif', codes(place), place)


def test_torchgeos_datasets_of_two_zones_are_scored_like_ours(tmp_path: Path) -> None:
    places = [PLACES['a'], PLACES['b']]
    readers = {'s2_dataset': Sentinel2, 's1_dataset': Sentinel1}
    for place in places:
        _write_torchgeos(tmp_path / 'theirs', place)
        for kind, image in (('s2', s2_image(place)), ('s1', s1_image(place, place))):
            write(tmp_path / 'ours' / kind / f'{place.crs[-2:]}.tif', image, place)
        write(
            tmp_path / 'ours' / 'labels' / f'{place.crs[-2:]}.tif', codes(place), place
        )
    summaries = []
    for name, changes in (('ours', {}), ('theirs', readers)):
        writer = ScoreWriter(tmp_path, overwrite=True)
        data = _datamodule(tmp_path / name, patch_size=16, check='off', **changes)
        trainer = _trainer(tmp_path, callbacks=[writer])
        trainer.test(_pointwise(), datamodule=data, verbose=False)
        summaries.append(writer.summary)
    assert summaries[0] == summaries[1]
    assert summaries[0]['pixels'] == sum((codes(p) != 0).sum() for p in places)


def test_a_patch_can_be_drawn(root: Path) -> None:
    data = _datamodule(root, patch_size=16)
    data.setup('validate')
    assert data.val_dataset is not None
    sample = data.val_dataset[0]
    figure = data.plot(sample | {'prediction': sample['mask']})
    assert figure is not None
    assert len(figure.axes) == 3


@pytest.mark.slow
def test_a_network_learns_from_a_scene(tmp_path: Path) -> None:
    files = write_scene(tmp_path, seed=1, shape=(96, 120))
    seed_everything(0)
    data = _datamodule(tmp_path, patch_size=32, batch_size=8, length=64)
    task = _pointwise()
    task.hparams['lr'] = 0.1
    trainer = _trainer(tmp_path, max_epochs=8, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    with rasterio.open(files.labels) as raster:
        truth = raster.read(1)
    most_frequent = np.bincount(truth.ravel()).max() / truth.size
    accuracy = float(trainer.callback_metrics['test_OA'])
    assert accuracy > most_frequent + 0.2


@pytest.mark.slow
def test_two_processes_score_what_one_scores(root: Path, tmp_path: Path) -> None:
    _, trainer = _fit(root, tmp_path, max_steps=2)
    trainer.save_checkpoint(tmp_path / 'tiny.ckpt')
    command = [
        'test', '--data=dfc2020_geo.datamodules.scenes.SceneTrainingDataModule',
        *(f'--data.test_{kind}={root / kind}' for kind in ('s2', 's1', 'labels')),
        f'--ckpt_path={tmp_path / "tiny.ckpt"}', '--data.patch_size=16',
        '--data.num_workers=0', '--trainer.accelerator=cpu', '--trainer.logger=false',
    ]  # fmt: skip
    main([*command, f'--scores.output_dir={tmp_path / "one"}'])
    run_two(main, tmp_path, *command, '--scores.output_dir=two')
    scores = [
        json.loads((tmp_path / name / 'scenes_test.json').read_text())
        for name in ('one', 'two')
    ]
    assert scores[0] == scores[1]
    assert scores[0]['pixels'] == sum(
        (_truth(place) != IGNORE_INDEX).sum() for place in PLACES.values()
    )

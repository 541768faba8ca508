"""An image in file units becomes the classes that a trainer predicts."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.tasks import LandCoverSegmentation
from dfc2020_geo.transforms import ScaleBands
from tests.support.quiet_trainer import QUIET


def _task(**arguments: object) -> LandCoverSegmentation:
    torch.manual_seed(0)
    settings: dict = {'model': 'fcn', 'num_filters': 2} | arguments
    return LandCoverSegmentation(**settings)


@pytest.fixture
def data(baseline_tree: Path) -> LandCoverDataModule:
    data = LandCoverDataModule(
        unlabeled_root=baseline_tree / 'tiffs', batch_size=3, num_workers=0
    )
    data.setup('predict')
    return data


@pytest.mark.parametrize('tta', [False, True])
def test_a_sample_gives_what_a_trainer_predicts(
    data: LandCoverDataModule, tta: bool
) -> None:
    task = _task(tta=tta)
    task.return_probabilities = True
    (expected,) = Trainer(**QUIET).predict(task, datamodule=data) or []
    assert isinstance(expected, dict)
    for index in range(3):
        found = task.predict_image(data.predict_dataset[index])
        assert torch.equal(found['prediction'], expected['prediction'][index])
        assert torch.allclose(
            found['probabilities'], expected['probabilities'][index], atol=1e-6
        )


def test_arrays_samples_and_batches_give_the_same(data: LandCoverDataModule) -> None:
    task = _task()
    sample = data.predict_dataset[1]
    expected = task.predict_image(sample)['prediction']
    (batch,) = data.predict_dataloader()
    assert {'s2', 's1'} <= batch.keys()  # raw, as files store them
    found = task.predict_image(batch)['prediction']
    assert found.shape == (3, *expected.shape)
    assert torch.equal(found[1], expected)
    image = sample['image']
    for values in (image, image.numpy(), image.double(), image.numpy().astype('f8')):
        assert torch.equal(task.predict_image(values)['prediction'], expected)
    assert torch.equal(task.predict_image(image[None])['prediction'][0], expected)


@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.uint8, np.int64])
def test_integers_are_file_units(dtype: type[np.generic]) -> None:
    task = _task(bands=['s2-10m'])
    image = np.random.default_rng(0).integers(1, 255, (4, 9, 11)).astype(dtype)
    expected = task.predict_image(image.astype(np.float32))
    assert torch.equal(
        task.predict_image(image)['probabilities'], expected['probabilities']
    )


@pytest.mark.parametrize('fill', [0.0, float('nan')])
def test_no_data_is_marked_unless_the_baseline_is_asked_for(fill: float) -> None:
    image = torch.rand(2, 8, 8) * -20 - 1
    image[:, :3] = fill
    prediction = _task(bands=['s1']).predict_image(image)['prediction']
    assert (prediction[:3] == IGNORE_INDEX).all()
    assert (prediction[3:] < 10).all()
    prediction = _task(bands=['s1'], nan='baseline').predict_image(image)['prediction']
    assert (prediction < 10).all()


@pytest.mark.parametrize(
    'image',
    [
        torch.rand(3, 8, 8),
        torch.rand(8, 8),
        torch.rand(1, 1, 2, 8, 8),
        {'mask': torch.rand(8, 8)},
        {},
    ],
    ids=['bands', 'axes', 'more_axes', 'no_image', 'empty'],
)
def test_other_shapes_are_refused(image: object) -> None:
    with pytest.raises(ValueError, match=r'with the 2 bands VV, VH, got'):
        _task(bands=['s1']).predict_image(image)  # ty: ignore[invalid-argument-type]


def test_the_mode_of_each_module_stays() -> None:
    task = _task(bands=['s1']).train()
    task.model.eval()
    before = [module.training for module in task.modules()]
    assert any(before)
    assert not all(before)
    task.predict_image(torch.rand(2, 8, 8) - 10)
    assert [module.training for module in task.modules()] == before


def test_unscaled_values_are_warned_of_once() -> None:
    image = torch.rand(1, 4, 8, 8) * 3000
    scaled = ScaleBands(['s2-10m'])(image)
    task = _task(bands=['s2-10m'])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        _task(bands=['s2-10m'])(scaled)
        task.predict_image(image)
    task = _task(bands=['s2-10m'])
    with pytest.warns(UserWarning, match=r'scaled to 0 to 1, got .*predict_image'):
        task(image)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        task(image)

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support.quiet_trainer import QUIET

UNCHECKED = QUIET | {'num_sanity_val_steps': 0}


def _tiny(**arguments: Any) -> LandCoverSegmentation:
    return LandCoverSegmentation(**{'model': 'fcn', 'num_filters': 2} | arguments)


def _datamodule(tree: Path, **arguments: Any) -> LandCoverDataModule:
    roots = {'sen12ms_root': tree / 'sen12ms', 'dfc2020_root': tree / 'dfc2020'}
    return LandCoverDataModule(**roots | {'num_workers': 0} | arguments)


@pytest.mark.parametrize(
    ('model', 'backbone'),
    [
        ('unet', 'resnet18'),
        ('deeplabv3+', 'resnet18'),
        ('fcn', 'none'),
        ('upernet', 'resnet18'),
        ('segformer', 'resnet18'),
        ('unet', 'mobilenet_v2'),
        ('baseline-unet', 'none'),
        ('baseline-deeplabv3+', 'none'),
    ],
)
@pytest.mark.parametrize('size', [(45, 70), (64, 64)])
def test_networks_take_images_of_any_size(
    model: Any, backbone: str, size: tuple[int, int]
) -> None:
    task = LandCoverSegmentation(['s2', 's1'], model=model, backbone=backbone).eval()
    with torch.no_grad():
        logits = task(torch.rand(2, 15, *size))
    assert logits.shape == (2, 10, *size)


def test_padding_changes_nothing_where_the_size_fits() -> None:
    task = LandCoverSegmentation(['s1'], model='deeplabv3+', backbone='resnet18').eval()
    image = torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        assert torch.equal(task(image), task.model(image))


def test_network_follows_from_bands_and_scheme() -> None:
    task = _tiny(bands=['s2-10m', 'VV'], scheme='dfc2020-contest')
    assert task.hparams['in_channels'] == 5
    assert task.hparams['num_classes'] == 8
    assert task.hparams['labels'][-1] == 'Water'


def test_prediction_is_torchgeos_dict_and_indices() -> None:
    task = _tiny(bands=['s1']).eval()
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    valid[0, 0] = False
    transform = torch.rand(2, 9)
    batch = {'image': torch.rand(2, 2, 8, 8), 'valid': valid, 'transform': transform}
    with torch.no_grad():
        answer = task.predict_step(batch, 0)
        task.return_probabilities = True
        probabilities = task.predict_step(batch, 0)['probabilities']
    assert answer['probabilities'] is None
    assert answer['bounds'] is None
    assert answer['transform'] is transform
    prediction = answer['prediction']
    assert isinstance(prediction, Tensor)
    assert isinstance(probabilities, Tensor)
    assert prediction.dtype == torch.uint8
    assert (prediction[0, 0] == IGNORE_INDEX).all()
    assert torch.equal(prediction[valid].long(), probabilities.argmax(1)[valid])


def test_backbone_has_its_own_rate() -> None:
    task = LandCoverSegmentation(
        ['s1'],
        model='deeplabv3+',
        backbone='resnet18',
        lr=0.1,
        backbone_lr=0.01,
        optimizer=partial(torch.optim.SGD, momentum=0.9),
        lr_scheduler=partial(torch.optim.lr_scheduler.PolynomialLR, total_iters=5),
        lr_interval='step',
    )
    plan = task.configure_optimizers()
    backbone, head = plan['optimizer'].param_groups
    assert (backbone['lr'], head['lr'], head['momentum']) == (0.01, 0.1, 0.9)
    encoder = {id(p) for p in task.model.encoder.parameters()}
    assert {id(p) for p in backbone['params']} == encoder
    rest = {id(p) for p in task.model.parameters()} - encoder
    assert {id(p) for p in head['params']} == rest
    assert plan['lr_scheduler']['interval'] == 'step'


def test_a_rate_for_no_backbone_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r'with a backbone for backbone_lr=0.1, got FCN'
    ):
        _tiny(backbone_lr=0.1).configure_optimizers()


def test_frozen_parameters_are_left_out() -> None:
    task = LandCoverSegmentation(
        ['s1'], backbone='resnet18', backbone_lr=0.1, freeze_backbone=True
    )
    (group,) = task.configure_optimizers()['optimizer'].param_groups
    assert group['lr'] == 0.001


def test_data_of_other_facts_are_refused_in_one_line(baseline_tree: Path) -> None:
    trainer = Trainer(**UNCHECKED)
    data = _datamodule(baseline_tree, scheme='dfc2020-contest')
    expected = r'got model.scheme=dfc2020 and data.scheme=dfc2020-contest'
    with pytest.raises(ValueError, match=expected):
        trainer.test(_tiny(), datamodule=data)
    with pytest.raises(ValueError, match=r'got model.nan=lowest and data.nan=baseline'):
        trainer.validate(_tiny(), datamodule=_datamodule(baseline_tree, nan='baseline'))


def test_training_from_python_makes_the_same_contract(
    baseline_tree: Path, tmp_path: Path
) -> None:
    task = _tiny(optimizer=partial(torch.optim.SGD, momentum=0.5), lr=0.02)
    trainer = Trainer(**UNCHECKED, default_root_dir=tmp_path)
    trainer.fit(task, datamodule=_datamodule(baseline_tree, batch_size=4))
    path = tmp_path / 'python.ckpt'
    trainer.save_checkpoint(path)
    again = LandCoverSegmentation.load_from_checkpoint(path, weights_only=True)
    assert again.contract == task.contract
    assert again.hparams['lr'] == 0.02
    for one, other in zip(task.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    saved = torch.load(path, weights_only=True)['hyper_parameters']
    assert saved['_class_path'] == 'dfc2020_geo.tasks.LandCoverSegmentation'
    assert 'in_channels' not in saved
    with pytest.raises(
        ValueError, match=r'Expected scheme=dfc2020 as in .* got dfc2020-c'
    ):
        LandCoverSegmentation.load_from_checkpoint(
            path, weights_only=True, scheme='dfc2020-contest'
        )
    other = _tiny(lr=0.02, optimizer=torch.optim.RMSprop)
    with pytest.raises(ValueError, match=r'Expected optimizer=SGD .* got RMSprop'):
        Trainer(**UNCHECKED | {'max_epochs': 2}).fit(
            other, datamodule=_datamodule(baseline_tree), ckpt_path=path
        )


def test_training_learns_what_the_image_shows(baseline_tree: Path) -> None:
    torch.manual_seed(0)
    task = _tiny(bands=['s1'], lr=0.01, num_filters=8)
    optimizer = task.configure_optimizers()['optimizer']
    image = torch.rand(2, 2, 16, 16)
    mask = (image[:, 0] > 0.5).long()
    task.log = lambda *_, **__: None  # ty: ignore[invalid-assignment]
    for _ in range(300):
        optimizer.zero_grad()
        loss = task.training_step({'image': image, 'mask': mask}, 0)
        loss.backward()
        optimizer.step()
    agreement = (task(image).argmax(1) == mask).float().mean().item()
    assert agreement > 0.9


def test_a_batch_of_one_that_cannot_be_normalised_says_what_to_do() -> None:
    task = LandCoverSegmentation(['s1'], model='deeplabv3+', backbone='resnet18')
    batch = {'image': torch.rand(1, 2, 32, 32), 'mask': torch.zeros(1, 32, 32).long()}
    with pytest.raises(ValueError, match=r'two or more patches .* got 1; add patches'):
        task.train().training_step(batch, 0)


class Reads(TorchDispatchMode):
    """Count how often Python asks for a number that a device would have to finish."""

    count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_no_step_of_training_waits_for_the_device(tmp_path: Path) -> None:
    def train(steps: int, **settings: Any) -> int:
        task = _tiny(bands=['s1'], optimizer=torch.optim.SGD)
        sample: Any = {'image': torch.rand(2, 8, 8), 'mask': torch.ones(8, 8).long()}
        loader = DataLoader([sample] * steps)
        with Reads() as reads:
            Trainer(**UNCHECKED | settings).fit(task, loader)
        return reads.count

    assert train(7) == train(3)
    # Only where a loss is logged it is read.
    logger = CSVLogger(tmp_path)
    logged = [train(n, logger=logger, log_every_n_steps=3) for n in (3, 5, 6)]
    assert logged[0] == logged[1] == logged[2] - 1


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_the_bar_shows_a_loss_as_often_as_losses_are_logged() -> None:
    class Bar(TQDMProgressBar):
        shown: ClassVar[list[Any]] = []

        def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
            super().on_train_batch_end(trainer, *args, **kwargs)
            self.shown.append(self.get_metrics(trainer, trainer.model)['train_loss'])

    task = _tiny(bands=['s1'], optimizer=torch.optim.SGD)
    samples: Any = [
        {'image': torch.rand(2, 8, 8), 'mask': torch.ones(8, 8).long()}
        for _ in range(5)
    ]
    losses: list[float] = []
    task.criterion.register_forward_hook(lambda *of: losses.append(of[-1].item()))
    settings = {'enable_progress_bar': True, 'callbacks': [Bar()]}
    Trainer(**UNCHECKED | settings, log_every_n_steps=2).fit(task, DataLoader(samples))
    assert Bar.shown == [losses[i] for i in (0, 0, 2, 2, 4)]


def test_training_is_not_scored() -> None:
    metrics = [n for n, m in _tiny().named_children() if 'metrics' in n]
    assert metrics == ['val_metrics', 'test_metrics']
    assert isinstance(_tiny().criterion, nn.Module)


@torch.no_grad()
def test_symmetries_are_averaged_outside_training_alone() -> None:
    torch.manual_seed(0)
    plain = _tiny(bands=['s1']).eval()
    for parameter in plain.parameters():  # as made, it hardly looks at its input
        nn.init.normal_(parameter, std=0.5)
    task = _tiny(bands=['s1'], tta=True).eval()
    task.load_state_dict(plain.state_dict())
    image = torch.rand(1, 2, 9, 13)
    flipped = image.flip(-1)
    assert not torch.allclose(plain(flipped).flip(-1), plain(image), atol=1e-3)
    torch.testing.assert_close(task(flipped).flip(-1), task(image))
    assert torch.equal(task.train()(image), plain(image))


def _attached(**arguments: Any) -> LandCoverSegmentation:
    task = _tiny(bands=['s1'], **arguments)
    task.trainer = Trainer(**UNCHECKED)
    return task


def _save(tmp_path: Path, name: str, **arguments: Any) -> str:
    task = _tiny(bands=['s1'], **arguments)
    trainer = Trainer(**UNCHECKED)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / name, weights_only=True)
    return str(tmp_path / name)


def test_an_ensemble_averages_probabilities(tmp_path: Path) -> None:
    path = _save(tmp_path, 'other.ckpt', num_filters=3)
    task = _attached(ensemble=[path]).eval()
    task.setup('test')
    other = LandCoverSegmentation.load_from_checkpoint(path, weights_only=True).eval()
    image = torch.rand(1, 2, 8, 8)
    with torch.no_grad():
        shares = [network(image).softmax(1) for network in (task.model, other.model)]
        torch.testing.assert_close(task(image).softmax(1), sum(shares) / 2)
        task.return_logits = True
        answer = task.predict_step({'image': image}, 0)
    assert {*answer} == {'logits', 'disagreement'}
    names = set(task.state_dict())
    assert names == set(_tiny(bands=['s1']).state_dict())


def test_an_ensemble_means_one_thing(tmp_path: Path) -> None:
    path = _save(tmp_path, 'other.ckpt', scheme='dfc2020-contest')
    with pytest.raises(ValueError, match=r'ensemble of the same scheme, got dfc2020 '
                       r'and, in .*other\.ckpt, dfc2020-contest'):  # fmt: skip
        _attached(ensemble=[path]).setup('predict')
    with pytest.raises(ValueError, match=r'Expected to train one network'):
        _attached(ensemble=[path]).setup('fit')

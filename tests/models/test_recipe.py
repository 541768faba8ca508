"""The baseline's way of training, against a plain loop in PyTorch."""

from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, RMSprop
from torch.optim.lr_scheduler import ConstantLR
from torch.utils.data import DataLoader

from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.models import BaselineDeepLabV3Plus, BaselineUNet
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support.golden_weights import fill_network
from tests.support.quiet_trainer import QUIET

Batch = dict[str, Tensor]
STEPS = 5


class Losses(Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *args: Any
    ) -> None:
        self.values.append(outputs['loss'].item())


def _without_dropout(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network


def _batches(size: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(STEPS):
        image = torch.rand(2, 12, size, size, generator=generator)
        mask = (image[:, 0] * 9).long()
        mask[:, :5, :7] = IGNORE_INDEX
        batches.append({'image': image, 'mask': mask})
    return batches


def _train_plainly(
    network: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Batch]
) -> list[float]:
    losses = []
    for batch in batches:
        loss = functional.cross_entropy(
            network(batch['image']), batch['mask'], ignore_index=255
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _train_our_way(task: LandCoverSegmentation, batches: list[Batch]) -> list[float]:
    losses = Losses()
    trainer = Trainer(**QUIET, callbacks=[losses])
    trainer.fit(task, DataLoader(batches, batch_size=None))
    return losses.values


def _task(**arguments: Any) -> LandCoverSegmentation:
    task = LandCoverSegmentation(
        ['s2-10m', 's2-20m', 's1'],
        'dfc2020-no-savanna',
        'baseline',
        lr_scheduler=partial(ConstantLR, factor=1.0),
        **arguments,
    )
    fill_network(_without_dropout(task.model)).train()
    return task


def test_unet_trains_with_rmsprop_as_the_baseline() -> None:
    network = _without_dropout(fill_network(BaselineUNet(12, 9))).train()
    optimizer = RMSprop(network.parameters(), lr=1e-4, weight_decay=5e-4)
    batches = _batches(32)
    expected = _train_plainly(network, optimizer, batches)
    task = _task(
        model='baseline-unet', lr=1e-4, optimizer=partial(RMSprop, weight_decay=5e-4)
    )
    assert _train_our_way(task, batches) == pytest.approx(expected, abs=1e-5)
    assert expected[0] != pytest.approx(expected[-1], abs=1e-2)


@pytest.mark.slow
def test_deeplab_trains_with_two_rates_as_the_baseline() -> None:
    network = fill_network(BaselineDeepLabV3Plus(12, 9, 16))
    network = _without_dropout(network).train()
    backbone = [p for n, p in network.named_parameters() if n.startswith('backbone.')]
    head = [p for n, p in network.named_parameters() if not n.startswith('backbone.')]
    assert (len(backbone), len(head)) == (312, 29)
    groups: list[dict[str, Any]] = [
        {'params': backbone, 'lr': 1e-4},
        {'params': head, 'lr': 1e-3},
    ]
    optimizer = SGD(groups, momentum=0.9, weight_decay=5e-4)
    batches = _batches(48)
    expected = _train_plainly(network, optimizer, batches)
    task = _task(
        model='baseline-deeplabv3+',
        lr=1e-3,
        backbone_lr=1e-4,
        optimizer=partial(SGD, momentum=0.9, weight_decay=5e-4),
    )
    assert _train_our_way(task, batches) == pytest.approx(expected, abs=1e-5)
    assert expected[0] != pytest.approx(expected[-1], abs=1e-2)

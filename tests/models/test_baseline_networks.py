"""The networks are the 2020 baseline's: names, shapes, answers."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from dfc2020_geo.models import BaselineDeepLabV3Plus, BaselineUNet
from tests.support import DATA
from tests.support.golden_weights import fill_network

Make = Callable[[], nn.Module]

GOLDEN: dict[str, Make] = {
    'unet_12x9': lambda: BaselineUNet(12, 9),
    'unet_2x10': lambda: BaselineUNet(2, 10),
    'deeplab_os16_12x9': lambda: BaselineDeepLabV3Plus(12, 9, 16),
    'deeplab_os8_10x9': lambda: BaselineDeepLabV3Plus(10, 9, 8),
}


@pytest.mark.parametrize('name', GOLDEN)
def test_state_dicts_have_the_baselines_names_shapes_and_order(name: str) -> None:
    expected = json.loads((DATA / 'state_dicts.json').read_text())[name]
    found = [
        [key, list(value.shape), str(value.dtype).removeprefix('torch.')]
        for key, value in GOLDEN[name]().state_dict().items()
    ]
    dtypes = [[key, shape, dtype.split('.')[-1]] for key, shape, dtype in expected]
    assert found == dtypes


@pytest.mark.parametrize('name', GOLDEN)
@pytest.mark.parametrize('size', [(256, 256), (90, 75)])
def test_logits_are_the_baselines(name: str, size: tuple[int, int]) -> None:
    network = fill_network(GOLDEN[name]())
    channels = int(name.split('_')[-1].split('x')[0])
    drawn = np.random.default_rng([2020, *size]).random(
        (1, channels, *size), dtype=np.float32
    )
    with torch.no_grad():
        logits = network(torch.from_numpy(drawn)).numpy()
    key = f'{name}/{size[0]}x{size[1]}'
    with np.load(DATA / 'logits.npz') as golden:
        if f'{key}/logits' in golden:
            expected = golden[f'{key}/logits']
            np.testing.assert_allclose(
                logits.reshape(expected.shape), expected, atol=1e-4, rtol=0
            )
        else:
            expected = golden[f'{key}/logits_every_8th_pixel']
            every_8th = logits[..., ::8, ::8].reshape(expected.shape)
            np.testing.assert_allclose(every_8th, expected, atol=1e-4, rtol=0)
            argmax = golden[f'{key}/argmax']
            same = logits.argmax(1).reshape(argmax.shape) == argmax
            assert same.mean() >= 0.999

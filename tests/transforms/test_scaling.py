from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from dfc2020_geo.bands import DEFAULT_BANDS
from dfc2020_geo.io.nodata import valid_pixels
from dfc2020_geo.transforms import ScaleBands

Network = Callable[[torch.Tensor], torch.Tensor]


def _pixels(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None].expand(
        1, len(values), 2, 2
    )


def test_scaling_is_that_of_the_baseline_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    s2 = rng.uniform(-100, 20_000, (1, 1, 64, 64)).astype(np.float32)
    s1 = rng.uniform(-60, 20, (1, 1, 64, 64)).astype(np.float32)
    s1[..., :3] = np.nan
    expected = [
        np.clip(s2, 0, 10_000) / np.float32(10_000),
        np.clip(np.nan_to_num(s1), -25, 0) / np.float32(25) + np.float32(1),
    ]
    image = torch.from_numpy(np.concatenate([s2, s1], axis=1))
    scaled = ScaleBands(['B02', 'VV'], nan='baseline')(image)
    assert np.array_equal(scaled.numpy(), np.concatenate(expected, axis=1))


def test_nan_becomes_the_lowest_value_by_default() -> None:
    scaled = ScaleBands(['B02', 's1'])(_pixels(torch.nan, torch.nan, -5))
    assert scaled[0, :, 0, 0].tolist() == pytest.approx([0, 0, 0.8])


def test_scaling_takes_samples_and_leaves_their_masks() -> None:
    sample = {'image': _pixels(5000, -25)[0], 'mask': torch.ones(2, 2)}
    scaled = ScaleBands(['B02', 'VV'])(sample)
    assert scaled['image'][:, 0, 0].tolist() == [0.5, 0]
    assert scaled['mask'] is sample['mask']


def test_scaling_refuses_images_of_other_bands() -> None:
    with pytest.raises(ValueError, match='2 bands to scale, got 3'):
        ScaleBands(['s1'])(torch.rand(1, 3, 2, 2))
    with pytest.raises(ValueError, match=r"\('lowest', 'baseline'\), got 'zero'"):
        ScaleBands(['s1'], nan='zero')  # ty: ignore[invalid-argument-type]


@pytest.mark.parametrize('nan', ['lowest', 'baseline'])
def test_scaling_in_place_gives_the_same_bits(
    nan: Literal['lowest', 'baseline'],
) -> None:
    bands = ['s2-10m', 's1']
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(6, 70, 11, generator=generator) * 14_000 - 1000
    image[4:] = image[4:] / 300 - 30
    image[0, 0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    image[5, 69, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    expected = ScaleBands(bands, nan)(image[None])[0]
    place = torch.full((6, 70, 9), torch.nan)
    ScaleBands(bands, nan).scale_(place, source=image[..., 1:10])
    assert torch.equal(place, expected[..., 1:10])
    found = ScaleBands(bands, nan).scale_(image)
    assert found is image
    assert torch.equal(found, expected)


S2_TYPES = ('uint8', 'uint16', 'int16', 'int32', 'float32')
S1_TYPES = ('float16', 'float32', 'float64')


@settings(deadline=None, max_examples=60)
@given(
    s2=st.sampled_from(S2_TYPES).flatmap(lambda t: arrays(t, (2, 3, 4, 5))),
    s1=st.sampled_from(S1_TYPES).flatmap(
        lambda t: arrays(t, (2, 1, 4, 5), elements=st.floats(-60, 20, width=16))
    ),
    nan=st.sampled_from(['lowest', 'baseline']),
)
def test_joining_gives_the_bits_of_scaling_floats_one_by_one(
    s2: np.ndarray, s1: np.ndarray, nan: Literal['lowest', 'baseline']
) -> None:
    s1[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    high, low = np.float32(10_000), np.float32(-25 if nan == 'lowest' else 0)
    images = s2.astype(np.float32), s1.astype(s1.dtype if s1.itemsize > 4 else 'f4')
    s2_filled, s1_filled = np.where(np.isnan(images[0]), 0, images[0]), images[1]
    s1_filled = np.where(np.isnan(s1_filled), low, s1_filled)
    kind = s1_filled.dtype.type
    expected = np.concatenate(
        [
            np.clip(s2_filled.astype(kind), 0, 10_000) / kind(high),
            np.clip(s1_filled, -25, 0) / kind(25) + kind(1),
        ],
        axis=1,
    )
    scaling = ScaleBands(['B02', 'B03', 'B04', 'VV'], nan)
    joined = scaling.join([torch.from_numpy(s2), torch.from_numpy(s1)])
    assert joined.numpy().dtype == expected.dtype
    np.testing.assert_array_equal(joined.numpy(), expected)


def test_joining_changes_nothing_and_shares_nothing() -> None:
    s2, s1 = torch.full((2, 1, 3, 3), 7, dtype=torch.uint16), torch.ones(2, 1, 3, 3)
    joined = ScaleBands(['B02', 'VV']).join([s2, s1])
    joined.zero_()
    assert (s2.int() == 7).all()
    assert (s1 == 1).all()


def test_joined_images_that_are_kept_never_change() -> None:
    scaling = ScaleBands(['B02', 'VV'])
    kept = [
        scaling.join([torch.full((2, 1, 3, 3), 100 * n), torch.zeros(2, 1, 3, 3)])[1:]
        for n in range(9)
    ]
    assert [float(x[0, 0, 0, 0]) for x in kept] == [
        np.float32(n) / 100 for n in range(9)
    ]


def test_memory_of_joined_images_is_used_again() -> None:
    scaling, parts = ScaleBands(['B02']), [torch.ones(2, 1, 3, 3)]
    assert len({scaling.join(parts).data_ptr() for _ in range(9)}) == 1


class Scaled(torch.nn.Module):
    """Scaling as the first part of a network that is given to others."""

    def __init__(self) -> None:
        super().__init__()
        self.scaling = ScaleBands(['B02', 'VV'])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.scaling.join([image[:, :1], image[:, 1:]])


def _compile(network: Scaled, image: torch.Tensor) -> Network:
    torch._dynamo.reset()
    return torch.compile(network, backend='aot_eager')


def _export(network: Scaled, image: torch.Tensor) -> Network:
    return torch.export.export(network, (image,)).module()


def _differentiate(network: Scaled, image: torch.Tensor) -> Network:
    network(image)  # leaves memory to be used again
    return lambda x: torch.func.jvp(network, (x,), (torch.ones_like(x),))[0]


@pytest.mark.parametrize('record', [_compile, _export, _differentiate])
def test_recorded_scaling_gives_images_that_never_change(
    record: Callable[[Scaled, torch.Tensor], Network],
) -> None:
    images = [torch.full((2, 2, 3, 3), -2.5 * n) for n in range(5)]
    recorded = record(Scaled(), images[0])
    kept = [recorded(image) for image in images]
    assert [x[1, :, 0, 0].tolist() for x in kept] == [
        pytest.approx([0, 1 - n / 10]) for n in range(5)
    ]


@pytest.mark.parametrize(
    'shapes',
    [
        [],
        [(2, 3, 4, 4)],
        [(2, 2, 4, 4), (2, 3, 4, 4)],
        [(2, 3, 4, 4), (2, 2, 1, 1)],
        [(2, 3, 4, 4), (1, 2, 4, 4)],
        [(2, 3, 4, 4), (2, 2, 4, 4), (2, 1, 4, 4)],
    ],
)
def test_joining_refuses_other_bands_or_sizes(shapes: list[tuple[int, ...]]) -> None:
    scaling = ScaleBands(['B02', 'B03', 'B04', 's1'])
    with pytest.raises(ValueError, match=r"bands \{'s2': 3, 's1': 2\}.*got \["):
        scaling.join([torch.zeros(shape) for shape in shapes])


def test_gradients_pass_the_scaling() -> None:
    image = torch.tensor([5000.0, 20_000, -10])[:, None].expand(3, 2).clone()
    image[:, 1] /= -1000
    image = image.reshape(1, 3, 2, 1).transpose(1, 2).requires_grad_()
    ScaleBands(['B02', 'VV'])(image).sum().backward()
    assert image.grad is not None
    assert image.grad.flatten().tolist() == pytest.approx([1e-4, 0, 0, 0.04, 0.04, 0])


class Operations(TorchDispatchMode):
    """Notes what an accelerator would be asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.calls.append((func.__name__.split('.')[0], args))
        return func(*args, **(kwargs or {}))


def _on_accelerator(batch: int) -> list[tuple[str, tuple[Any, ...]]]:
    """Prepare a batch of stored patches on a device that holds no numbers."""
    with FakeTensorMode(), Operations() as operations:
        s2 = torch.empty(batch, 10, 8, 8, dtype=torch.uint16, device='cuda')
        s1 = torch.empty(batch, 2, 8, 8, device='cuda')
        operations.calls.clear()
        image = ScaleBands(DEFAULT_BANDS).join([s2, s1])
        assert image.device.type == valid_pixels(s2, s1).device.type == 'cuda'
    return operations.calls


def test_on_an_accelerator_few_operations_and_no_wait() -> None:
    calls = _on_accelerator(2)
    names = [name for name, _ in calls]
    assert names == [name for name, _ in _on_accelerator(64)]
    assert not {'_local_scalar_dense', '_to_copy', 'equal', 'nonzero'} & {*names}
    free = {'device', 'promote_types', 'empty', 'slice', 'view', 'detach'}
    assert len([name for name in names if name not in free]) < 25
    divisors = [args[1] for name, args in calls if name == 'div_']
    # Divided by a number of the host, it would be multiplied by the inverse.
    assert [d.device.type for d in divisors] == ['cuda', 'cuda']


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an accelerator')
@pytest.mark.parametrize('nan', ['lowest', 'baseline'])
def test_an_accelerator_gives_the_same_bits(nan: Literal['lowest', 'baseline']) -> None:
    generator = torch.Generator().manual_seed(0)
    s2 = torch.arange(2**16).to(torch.uint16).reshape(1, 1, 256, 256)
    s1 = torch.rand(1, 1, 256, 256, generator=generator) * 60 - 40
    s1[..., :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    scaling, parts = ScaleBands(['B02', 'VV'], nan), [s2, s1]
    moved = [part.cuda() for part in parts]
    assert torch.equal(scaling.join(moved).cpu(), scaling.join(parts))
    assert torch.equal(valid_pixels(*moved).cpu(), valid_pixels(*parts))
    image = torch.cat([part.float() for part in parts], dim=1)
    assert torch.equal(scaling(image.cuda()).cpu(), scaling(image))
    assert torch.equal(scaling.scale_(image[0].cuda()).cpu(), scaling(image)[0])

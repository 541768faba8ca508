import copy
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dfc2020_geo.tasks import LandCoverSegmentation
from dfc2020_geo.tasks.acceleration import arrange, checkpoint_activations, find_blocks

NETWORKS = [
    ('unet', 'resnet18'),
    ('unet', 'tu-test_resnet'),
    ('deeplabv3+', 'resnet18'),
    ('segformer', 'mit_b0'),
    # Its layers get a list that goes on to grow.
    pytest.param('unet', 'densenet121', marks=pytest.mark.slow),
    pytest.param('upernet', 'efficientnet-b0', marks=pytest.mark.slow),
    pytest.param('unet', 'tu-convnext_atto', marks=pytest.mark.slow),
    pytest.param('unet', 'tu-hrnet_w18_small', marks=pytest.mark.slow),
    ('baseline-unet', 'none'),
    pytest.param('baseline-deeplabv3+', 'none', marks=pytest.mark.slow),
]


def _network(model: Any, backbone: str) -> nn.Module:
    torch.manual_seed(0)
    return LandCoverSegmentation(['s1'], model=model, backbone=backbone).model


def _train(network: nn.Module, steps: int = 2) -> list[Tensor]:
    """Return the losses, and leave gradients, weights and buffers in the network."""
    torch.manual_seed(1)
    images, mask = torch.rand(2, 2, 32, 64), torch.randint(10, (2, 32, 64))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), mask)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


def _states(network: nn.Module) -> dict[str, Tensor]:
    gradients = {f'{n}.grad': p.grad for n, p in network.named_parameters()}
    kept = {n: g for n, g in gradients.items() if g is not None}
    return network.state_dict() | kept


def _assert_equal(one: nn.Module, other: nn.Module) -> None:
    states, others = _states(one), _states(other)
    assert list(states) == list(others)
    for name, value in states.items():
        assert torch.equal(value, others[name]), name


@pytest.mark.parametrize(('model', 'backbone'), NETWORKS)
def test_computing_twice_changes_no_bit(model: str, backbone: str) -> None:
    plain = _network(model, backbone)
    twice = copy.deepcopy(plain)
    checkpoint_activations(twice)
    assert torch.equal(torch.stack(_train(plain)), torch.stack(_train(twice)))
    _assert_equal(plain, twice)


class _Kept:
    """Bytes of what backward keeps, each storage once."""

    def __init__(self, network: nn.Module) -> None:
        self.storages: dict[int, int] = {}
        self.weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
        self.alive: list[Tensor] = []

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.weights:
            self.storages[storage.data_ptr()] = storage.nbytes()
            self.alive.append(tensor)  # or the next one might have its address
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self.storages.values())


def _bytes_kept(network: nn.Module) -> int:
    kept = _Kept(network)
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda x: x):
        network(torch.rand(2, 2, 64, 64)).sum().item()
    inputs: list[Tensor] = []
    handles = [
        block.register_forward_pre_hook(lambda _, args: inputs.extend(_tensors(args)))
        for block in find_blocks(network)
    ]
    network(torch.rand(2, 2, 64, 64))
    for handle in handles:
        handle.remove()
    # What a block is computed again from stays as well, and no hook hears of it.
    if any('forward' in vars(module) for module in network.modules()):
        for tensor in inputs:
            kept.pack(tensor)
    return kept.bytes


def _tensors(args: Any) -> list[Tensor]:
    return [one for one in args if isinstance(one, Tensor)]


@pytest.mark.parametrize(
    ('model', 'backbone'),
    [('unet', 'resnet18'), ('segformer', 'mit_b0'), ('baseline-unet', 'none')],
)
def test_much_less_is_kept_for_backward(model: str, backbone: str) -> None:
    plain = _network(model, backbone)
    twice = copy.deepcopy(plain)
    checkpoint_activations(twice)
    assert _bytes_kept(twice) < 0.6 * _bytes_kept(plain)


def test_copies_and_pickles_compute_with_their_own_weights() -> None:
    network = _network('unet', 'tu-test_resnet')
    checkpoint_activations(network)
    before = copy.deepcopy(network.state_dict())
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        _train(other)
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name]), name
        assert not torch.equal(next(other.parameters()), next(network.parameters()))


@torch.no_grad()
def test_nothing_is_recorded_without_gradients() -> None:
    network = _network('unet', 'tu-test_resnet').eval()
    twice = copy.deepcopy(network)
    checkpoint_activations(twice)
    images = torch.rand(1, 2, 32, 32)
    assert torch.equal(network(images), twice(images))


class _Moody(nn.Module):
    """A layer with a buffer that each call changes, and with noise."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)
        self.calls: Tensor
        self.register_buffer('calls', torch.zeros(()))

    def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
        self.calls += 1
        noise = torch.randn_like(x)
        return self.two(nn.functional.relu(self.one(x))).sin() * scale + noise * x


def test_any_buffer_is_written_once_and_noise_is_the_same() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(_Moody(), _Moody())
    twice = copy.deepcopy(plain)
    checkpoint_activations(twice)
    for network in (plain, twice):
        torch.manual_seed(2)
        images = torch.rand(2, 2, 4, 4, requires_grad=True)
        network(images).square().sum().backward()
    assert [block.calls.item() for block in find_blocks(twice)] == [1, 1]
    _assert_equal(plain, twice)


def test_an_error_in_the_second_computation_leaves_the_buffers() -> None:
    network = nn.Sequential(_Moody())
    checkpoint_activations(network)
    loss = network(torch.rand(1, 2, 4, 4)).sum()
    (block,) = find_blocks(network)
    buffer = block.calls
    block.one = nn.Identity()  # another number of tensors than before
    with pytest.raises(RuntimeError):
        loss.backward()
    assert block.calls is buffer
    assert buffer == 1


def test_blocks_are_the_innermost_elements_with_several_layers() -> None:
    def layers() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1))

    single = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    stage = nn.Sequential(layers(), layers())
    network = nn.Sequential(single, stage, nn.ModuleList([layers()]), layers())
    # A list is never called itself, only what is in it.
    assert find_blocks(network) == [*stage, network[2][0], network[3]]
    assert find_blocks(nn.Sequential(nn.ModuleList([nn.Conv2d(1, 1, 1)] * 2))) == []


@pytest.mark.parametrize(('model', 'backbone'), NETWORKS)
def test_blocks_hold_most_of_a_backbone_and_no_weight_twice(
    model: str, backbone: str
) -> None:
    network = _network(model, backbone)
    inside = [id(p) for block in find_blocks(network) for p in block.parameters()]
    assert len(inside) == len(set(inside))
    part: Any = getattr(network, 'encoder', network)
    sizes = {id(p): p.numel() for p in part.parameters()}
    covered = sum(size for key, size in sizes.items() if key in inside)
    assert covered > 0.5 * sum(sizes.values())


def test_a_network_without_blocks_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r'with blocks for activation_.*got FCN, which'
    ):
        LandCoverSegmentation(['s1'], model='fcn', activation_checkpointing=True)


@settings(deadline=None, max_examples=50)
@given(
    st.tuples(*[st.integers(1, 4)] * 4),
    st.permutations(range(4)),
    st.booleans(),
    st.booleans(),
)
def test_images_lie_in_one_way_whatever_they_were(
    shape: tuple[int, ...], order: list[int], is_cut: bool, channels_last: bool
) -> None:
    images = torch.rand(shape).permute(order)
    images = images[..., ::2] if is_cut else images
    arranged = arrange(images, channels_last)
    assert torch.equal(arranged, images)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert arranged.is_contiguous(memory_format=layout)

import copy
import gc
import pickle

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from dfc2020_geo.io.memory import ReusedMemory


def test_memory_of_before_is_let_go() -> None:
    shape, dtype, size = (1009, 1013), np.dtype(np.uint16), 2 * 1009 * 1013
    memory, kept = ReusedMemory(3), []
    for _ in range(20):
        kept.append(memory.take('s2', shape, dtype))
    assert len({tensor.data_ptr() for tensor in kept}) == 20
    del kept
    gc.collect()
    tensors = [o for o in gc.get_objects() if type(o) is torch.Tensor]
    held = {t.untyped_storage().data_ptr() for t in tensors if _has(t, size)}
    assert len(held) == 3


def _has(tensor: torch.Tensor, size: int) -> bool:
    """Tell whether a tensor is of about this many bytes."""
    return size <= tensor.nbytes <= size + 2 * 4096


def test_copies_have_memory_of_their_own() -> None:
    memory = ReusedMemory(1)
    shape, dtype = (2, 3), np.dtype(np.float32)
    before = memory.take('s1', shape, dtype).data_ptr()
    for other in (copy.deepcopy(memory), pickle.loads(pickle.dumps(memory))):
        assert other.take('s1', shape, dtype).data_ptr() != before
    assert memory.take('s1', shape, dtype).data_ptr() == before


@pytest.mark.parametrize('shape', [(1,), (3, 5, 7), (2, 300, 300), (0, 4)])
def test_memory_begins_a_little_after_a_page(shape: tuple[int, ...]) -> None:
    for _ in range(3):
        tensor = ReusedMemory(2).take('s1', shape, np.dtype(np.float32))
        assert tensor.shape == shape
        assert tensor.dtype == torch.float32
        assert not tensor.numel() or tensor.data_ptr() % 4096 == 64


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float64, torch.bool])
def test_memory_has_any_type(dtype: torch.dtype) -> None:
    memory, shape = ReusedMemory(2), (3, 4)
    source = torch.zeros(1)
    first = memory.empty(shape, dtype, source).fill_(1)
    assert (first.shape, first.dtype) == (shape, dtype)
    assert first.sum() == 12
    place = first.data_ptr()
    assert memory.empty(shape, dtype, source).data_ptr() != place
    del first
    places = {memory.empty(shape, dtype, source).data_ptr()}
    assert places == {place}


def test_other_devices_have_memory_of_their_own() -> None:
    memory, source = ReusedMemory(1), torch.zeros(1, device='meta')
    assert memory.empty((2, 3), torch.float32, source).device == source.device


@pytest.mark.parametrize('is_warm', [True, False])
def test_what_only_stands_for_a_tensor_is_lent_nothing(is_warm: bool) -> None:
    memory, shape = ReusedMemory(1), (2, 3)
    if is_warm:
        place = memory.empty(shape, torch.float32, torch.zeros(1)).data_ptr()
    with FakeTensorMode():
        lent = memory.empty(shape, torch.float32, torch.empty(1))
    assert isinstance(lent, FakeTensor)
    again = memory.empty(shape, torch.float32, torch.zeros(1))
    assert type(again) is torch.Tensor
    assert not is_warm or again.data_ptr() == place


def test_memory_is_on_the_cpu_whatever_the_default_device_is() -> None:
    with torch.device('meta'):
        taken = ReusedMemory(1).take('s1', (2, 3), np.dtype(np.float32))
    assert taken.device.type == 'cpu'


def test_memory_taken_for_inference_may_be_trained_on_later() -> None:
    memory, shape, source = ReusedMemory(1), (2, 3), torch.zeros(1)
    with torch.inference_mode():
        place = memory.empty(shape, torch.float32, source).data_ptr()
    image = memory.empty(shape, torch.float32, source).fill_(2)
    assert image.data_ptr() == place
    weight = torch.ones(shape, requires_grad=True)
    (weight * image).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[2, 2, 2]] * 2

import copy
import pickle

import numpy as np
import pytest
import torch

from dfc2020_geo.buffers import ReusedMemory


def test_memory_of_before_is_let_go() -> None:
    memory, kept = ReusedMemory(3), []
    for _ in range(20):
        kept.append(memory.take('s2', (2, 3), np.dtype(np.uint16)))
    assert len({tensor.data_ptr() for tensor in kept}) == 20
    assert len(memory._blocks['s2']) == 3


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
    first = memory.empty(shape, dtype, torch.device('cpu')).fill_(1)
    assert (first.shape, first.dtype) == (shape, dtype)
    assert first.sum() == 12
    place = first.data_ptr()
    assert memory.empty(shape, dtype, torch.device('cpu')).data_ptr() != place
    del first
    places = {memory.empty(shape, dtype, torch.device('cpu')).data_ptr()}
    assert places == {place}


def test_other_devices_have_memory_of_their_own() -> None:
    memory, device = ReusedMemory(1), torch.device('meta')
    assert memory.empty((2, 3), torch.float32, device).device == device
    assert not memory._blocks

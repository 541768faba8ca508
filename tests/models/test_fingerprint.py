import pytest
import torch
from torch import nn

from dfc2020_geo.models.contract import hash_weights


def test_other_weights_have_another_hash() -> None:
    network = nn.BatchNorm2d(2)
    before = hash_weights(network.state_dict())
    assert hash_weights(nn.BatchNorm2d(2).state_dict()) == before
    nn.init.constant_(network.weight, 2)
    assert hash_weights(network.state_dict()) != before
    nn.init.constant_(network.weight, 1.001)
    before = hash_weights(network.state_dict())
    assert hash_weights(network.bfloat16().state_dict()) != before


@pytest.mark.parametrize('kept', [torch.bfloat16, torch.float16, torch.float64])
def test_equal_weights_have_one_hash_in_whatever_type_they_are_kept(
    kept: torch.dtype,
) -> None:
    weights = {'a': torch.randn(3).to(kept), 'b': torch.arange(4)}
    as_loaded = {'a': weights['a'].float(), 'b': weights['b']}
    assert hash_weights(weights) == hash_weights(as_loaded)

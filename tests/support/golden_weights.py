"""The rule by which the golden figures' networks were filled."""

import zlib

import numpy as np
import torch
from torch import nn


def fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The rule by which the golden figures' weights were made."""
    if name.endswith('num_batches_tracked'):
        return np.zeros((), np.int64)
    seed = [2020, zlib.crc32(name.encode())]
    drawn = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    if name.endswith('running_var'):
        return 1 + 0.1 * np.abs(drawn)
    if name.endswith(('running_mean', 'bias')):
        return 0.1 * drawn
    if len(shape) == 1:
        scale = np.float32(0.2 if name.endswith('bn3.weight') else 1)
        return (1 + 0.1 * drawn) * scale
    return drawn * np.float32(np.sqrt(2 / np.prod(shape[1:])))


def fill_network(network: nn.Module) -> nn.Module:
    weights = {
        name: torch.from_numpy(np.asarray(fill(name, tuple(value.shape))))
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(weights)
    return network.eval()

"""Pretrained weights of backbones, and clear errors for those that do not fit."""

import pickle
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from torchvision.models import ResNet101_Weights, get_weight
from torchvision.models._api import WeightsEnum

from .contract import load_plain

#: What libraries raise for weights that they cannot use.
_REFUSALS = (ValueError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError)

#: What torchgeo says of weights, in parts, and what it means.
_REASONS = {
    'not a valid WeightsEnum': 'is none of them',
    'hyper_parameters': 'is no checkpoint with a backbone, as torchgeo writes them',
    'Unknown checkpoint task': 'is no checkpoint with a backbone for torchgeo',
}


@contextmanager
def explain_refusals(
    backbone: str, weights: WeightsEnum | bool | str | None
) -> Generator[None]:
    """Translate the errors of torchgeo, smp and timm about backbones and weights.

    Args:
        backbone: Name of the backbone that is asked for while the context is open.
        weights: Its initial weights.

    Returns:
        A context manager.

    Raises:
        OSError: If the weights are not there and cannot be fetched.
        ValueError: If the backbone is unknown, or the weights are unknown, no weights,
            or those of another backbone.
    """
    try:
        yield
    except OSError as error:
        if not weights:
            raise
        raise OSError(
            f'Expected to fetch the weights of the backbone (model.weights={weights}), '
            f'got {type(error).__name__} ({_one_line(error)}); run it once with a '
            'network, which keeps them, name a file, or start from random ones with '
            'model.weights=null.'
        ) from error
    except _REFUSALS as error:
        # smp refuses an unknown backbone with a KeyError, timm with its own error.
        if 'encoder name' in str(error) or 'Unknown model' in str(error):
            raise ValueError(
                f"Expected a backbone of smp, or of timm with 'tu-' before its name, "
                f"got '{backbone}'."
            ) from error
        if not (reason := _reason(error)):
            raise
        raise ValueError(
            'Expected true, or the name or file of weights that fit the backbone and '
            f'its bands, got model.weights={weights}, which {reason}.'
        ) from error


def _reason(error: Exception) -> str:
    """Return what a library says is wrong with weights, or nothing."""
    if isinstance(error, (pickle.UnpicklingError, EOFError)):
        return 'is damaged or no file of weights'
    if 'loading state_dict' in str(error):
        return f'does not fit ({_one_line(error).partition(": ")[2]})'
    return next((why for said, why in _REASONS.items() if said in str(error)), '')


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split()).rstrip('.')


def read_weights(weights: WeightsEnum | str | bool) -> dict[str, Tensor]:
    """Read the trained weights of a ResNet-101.

    Args:
        weights: True for ImageNet's, weights of torchvision or their name, or a file
            with a state dict.

    Returns:
        Tensors by name.

    Raises:
        ValueError: If there is nothing of the name, or it is no state dict.
    """
    if isinstance(weights, str) and Path(weights).is_file():
        return _read_file(weights)
    if isinstance(weights, str):
        try:
            weights = get_weight(weights)
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"Expected a file or weights of torchvision, got '{weights}', which is "
                "neither; ImageNet's are 'ResNet101_Weights.IMAGENET1K_V1'."
            ) from error
    chosen: Any = ResNet101_Weights.IMAGENET1K_V1 if weights is True else weights
    return dict(chosen.get_state_dict(progress=True, check_hash=True))


def _read_file(path: str) -> dict[str, Tensor]:
    content = load_plain(path, 'a state dict of tensors')
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise ValueError(
            f'Expected a state dict, tensors by name, got {path} with something else.'
        )
    return content

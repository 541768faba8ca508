"""Networks: a table of those of this package, beside torchgeo's."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

from torch import nn
from torchgeo.tasks import SemanticSegmentation
from torchvision.models._api import WeightsEnum

from .deeplabv3plus import BaselineDeepLabV3Plus
from .pretrained import explain_refusals
from .unet import BaselineUNet

__all__ = [
    'NETWORKS',
    'BaselineDeepLabV3Plus',
    'BaselineUNet',
    'build_network',
    'explain_refusals',
    'network_settings',
]

#: The networks of this package by the name that selects them. Each is made of the
#: number of channels and of classes; what else its constructor takes are its settings:
#: arguments of the task, which a checkpoint fixes. A backbone, if it has one, is its
#: ``encoder``, and loads pretrained weights with a method ``load_pretrained``.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    'baseline-unet': BaselineUNet,
    'baseline-deeplabv3+': BaselineDeepLabV3Plus,
}

#: The networks of torchgeo by name, and the settings that decide what they are.
TORCHGEO_NETWORKS: tuple[str, ...] = get_args(
    inspect.signature(SemanticSegmentation).parameters['model'].annotation
)
TORCHGEO_SETTINGS = ('backbone', 'num_filters')


def network_settings(model: str) -> tuple[str, ...]:
    """Return the settings that decide what a network is, beside bands and classes.

    Args:
        model: Name of a network, torchgeo's or one in :data:`NETWORKS`.

    Returns:
        Names of arguments of
        :class:`~dfc2020_geo.tasks.LandCoverSegmentation`; a checkpoint fixes them.

    Raises:
        ValueError: If there is no such network.
    """
    if model in TORCHGEO_NETWORKS:
        return TORCHGEO_SETTINGS
    if model not in NETWORKS:
        known = (*TORCHGEO_NETWORKS, *NETWORKS)
        raise ValueError(f"Expected model to be one of {known}, got '{model}'.")
    _, _, *settings = inspect.signature(NETWORKS[model]).parameters
    return tuple(settings)


def build_network(
    model: str,
    in_channels: int,
    num_classes: int,
    settings: Mapping[str, Any] | None = None,
    weights: WeightsEnum | str | bool | None = None,
    freeze_backbone: bool = False,
    freeze_decoder: bool = False,
) -> nn.Module:
    """Build a network of this package.

    Args:
        model: Name in :data:`NETWORKS`.
        in_channels: Number of channels of the input.
        num_classes: Number of classes of the output.
        settings: Values by :func:`network_settings`; the network's defaults for those
            that are left out.
        weights: Initial weights of the backbone: True for ImageNet's, weights of
            torchvision or their name, a file with a state dict, or None for random
            ones. The first convolution keeps random ones.
        freeze_backbone: Whether the backbone is not trained.
        freeze_decoder: Whether the decoder is not trained.

    Returns:
        The network: images of shape ``(B, in_channels, H, W)`` to logits of shape
        ``(B, num_classes, H, W)``.

    Raises:
        ValueError: If there is no such network, it lacks what an argument is for, or
            weights do not fit.

    >>> network = build_network('baseline-unet', in_channels=12, num_classes=10)
    >>> sum(parameter.numel() for parameter in network.parameters())
    13401098
    """
    if model not in NETWORKS:
        raise ValueError(f"Expected a network of {tuple(NETWORKS)}, got '{model}'.")
    network = NETWORKS[model](in_channels, num_classes, **settings or {})
    backbone = getattr(network, 'encoder', None)
    load = getattr(backbone, 'load_pretrained', None)
    asked = {
        'weights': bool(weights) and load is None,
        'freeze_backbone': freeze_backbone and backbone is None,
    }
    if any(asked.values()):
        raise ValueError(
            f'Expected a network with a backbone for '
            f"{' and '.join(filter(asked.get, asked))}, got '{model}', which has none; "
            'leave it out.'
        )
    if freeze_decoder:
        raise ValueError(
            f"Expected a network of torchgeo for freeze_decoder, got '{model}'; leave it "
            'out.'
        )
    if load is not None and weights:
        load(weights)
    if backbone is not None and freeze_backbone:
        backbone.requires_grad_(False)
    return network

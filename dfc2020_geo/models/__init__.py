"""The networks of the 2020 baseline, beside those that torchgeo offers."""

from collections.abc import Callable

from torch import nn
from torchvision.models._api import WeightsEnum

from .deeplabv3plus import BaselineDeepLabV3Plus
from .pretrained import explain_missing, load_backbone
from .unet import BaselineUNet

__all__ = [
    'NETWORKS',
    'BaselineDeepLabV3Plus',
    'BaselineUNet',
    'build_network',
    'explain_missing',
]

#: Networks by the name that selects them, made of the number of channels, the number of
#: classes and the output stride, for which the U-Net has no use.
NETWORKS: dict[str, Callable[[int, int, int], nn.Module]] = {
    'baseline-unet': lambda channels, classes, _: BaselineUNet(channels, classes),
    'baseline-deeplabv3+': BaselineDeepLabV3Plus,
}


def build_network(
    model: str,
    in_channels: int,
    num_classes: int,
    output_stride: int = 16,
    weights: WeightsEnum | str | bool | None = None,
    freeze_backbone: bool = False,
    freeze_decoder: bool = False,
) -> nn.Module:
    """Make a network of the 2020 baseline.

    Args:
        model: Name in :data:`NETWORKS`.
        in_channels: Number of channels of the input.
        num_classes: Number of classes of the output.
        output_stride: How much smaller than the input the features of the backbone
            are.
        weights: Initial weights of the backbone: True for ImageNet's, weights of
            torchvision or their name, a file with a state dict, or None for random
            ones. The first convolution keeps random ones.
        freeze_backbone: Whether the backbone is not trained.
        freeze_decoder: Whether the decoder is not trained.

    Returns:
        The network.

    Raises:
        ValueError: If there is no such network, it lacks what an argument is for, or
            weights do not fit.
    """
    if model not in NETWORKS:
        raise ValueError(f"Expected a network of {tuple(NETWORKS)}, got '{model}'.")
    network = NETWORKS[model](in_channels, num_classes, output_stride)
    backbone = getattr(network, 'encoder', None)
    asked = {'weights': weights, 'freeze_backbone': freeze_backbone}
    if backbone is None and any(asked.values()):
        raise ValueError(
            f'Expected a network with a backbone for {" and ".join(filter(asked.get, asked))}, '
            f"got '{model}', which has none; leave it out."
        )
    if freeze_decoder:
        raise ValueError(
            f"Expected a network of torchgeo for freeze_decoder, got '{model}'; leave it "
            'out.'
        )
    if backbone is not None and weights:
        load_backbone(backbone, weights)
    if backbone is not None and freeze_backbone:
        backbone.requires_grad_(False)
    return network

"""ResNet-101 with dilated last stages, as a backbone."""

from typing import Any

from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.models._api import WeightsEnum
from torchvision.models.resnet import Bottleneck

from .pretrained import read_weights

#: Stride and dilation of each stage, by output stride.
_STAGES = {16: ((1, 1), (2, 1), (2, 1), (1, 2)), 8: ((1, 1), (2, 1), (1, 2), (1, 4))}

#: What the backbone lacks, and what stays as it is: another number of channels.
_NOT_LOADED = ('fc.weight', 'fc.bias', 'conv1.weight')

#: What multiplies the dilation in the three blocks of the last stage.
_MULTI_GRID = (1, 2, 4)


class DilatedResNet101(ResNet):
    """torchvision's ResNet-101 that keeps its resolution in the last stages.

    What a stage would lose to its stride it gains in dilation; the last one is a
    multi-grid (https://doi.org/10.48550/arXiv.1706.05587). The names of the weights
    stay torchvision's.
    """

    def __init__(self, in_channels: int, output_stride: int = 16) -> None:
        """Initialize a new DilatedResNet101 instance.

        Args:
            in_channels: Number of channels of the input.
            output_stride: How much smaller than the input the last features are.

        Raises:
            ValueError: If *output_stride* is neither 8 nor 16.
        """
        super().__init__(Bottleneck, [3, 4, 23, 3])
        if output_stride not in _STAGES:
            raise ValueError(
                f'Expected output_stride to be one of {tuple(_STAGES)}, '
                f'got {output_stride}.'
            )
        stem = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode='fan_out', nonlinearity='relu')
        self.conv1 = stem
        del self.avgpool, self.fc
        stages = (self.layer1, self.layer2, self.layer3, self.layer4)
        plan = zip(stages, _STAGES[output_stride], strict=True)
        for stage, (stride, dilation) in plan:
            grid = _MULTI_GRID if stage is self.layer4 else (1,) * len(stage)
            _dilate(stage, stride, [dilation * factor for factor in grid])

    def load_pretrained(self, weights: WeightsEnum | str | bool) -> None:
        """Load trained weights into all but the first convolution.

        Args:
            weights: True for those that the 2020 baseline began with (ImageNet,
                torchvision's first version), another weight enum of torchvision or its
                name, or a file with a state dict.

        Raises:
            ValueError: If the weights are not those of a ResNet-101.
        """
        loaded = {
            k: v for k, v in read_weights(weights).items() if k not in _NOT_LOADED
        }
        expected = {k: v.shape for k, v in self.state_dict().items()}
        del expected['conv1.weight']
        found = {k: v.shape for k, v in loaded.items()}
        if wrong := [k for k in expected | found if expected.get(k) != found.get(k)]:
            raise ValueError(
                f'Expected the weights of a ResNet-101, got {weights} with other '
                f'{", ".join(wrong[:3])} ({len(wrong)} in all); name weights of '
                "torchvision such as 'ResNet101_Weights.IMAGENET1K_V1', or a file with "
                'its state dict.'
            )
        self.load_state_dict(loaded, strict=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # ty: ignore[incompatible-method-override] (features)
        """Compute features.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Features of the first stage, ``(B, 256, H / 4, W / 4)``, and of the last,
            ``(B, 2048, H / output_stride, W / output_stride)``, sizes rounded up.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        low = self.layer1(x)
        return low, self.layer4(self.layer3(self.layer2(low)))


def _dilate(stage: Any, stride: int, dilations: list[int]) -> None:
    """Set the stride of a stage's first block and the dilation of each."""
    if stage[0].downsample is not None:
        stage[0].downsample[0].stride = (stride, stride)
    for index, (block, dilation) in enumerate(zip(stage, dilations, strict=True)):
        convolution = block.conv2
        convolution.stride = (stride, stride) if index == 0 else (1, 1)
        convolution.dilation = convolution.padding = (dilation, dilation)

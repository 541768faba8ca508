"""The DeepLabv3+ of the 2020 baseline."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .resnet import DilatedResNet101

#: Dilations of the parallel convolutions 3 x 3, by output stride.
_DILATIONS = {16: (6, 12, 18), 8: (12, 24, 36)}

# The names of modules are those of the baseline, so its state dicts fit.


class BaselineDeepLabV3Plus(nn.Module):
    """DeepLabv3+ on a dilated ResNet-101, as the 2020 baseline had it.

    State dicts of the baseline load strictly.

    If you use this network in your research, please cite:

    * https://doi.org/10.1007/978-3-030-01234-2_49
    """

    def __init__(
        self, in_channels: int, num_classes: int, output_stride: int = 16
    ) -> None:
        """Initialize a new BaselineDeepLabV3Plus instance.

        Args:
            in_channels: Number of channels of the input.
            num_classes: Number of classes of the output.
            output_stride: How much smaller than the input the backbone's features
                are, 8 or 16.

        Raises:
            ValueError: If *output_stride* is another.
        """
        super().__init__()
        self.backbone = DilatedResNet101(in_channels, output_stride)
        self.aspp = _SpatialPyramid(2048, _DILATIONS[output_stride])
        self.decoder = _Decoder(num_classes)
        for part in (self.aspp, self.decoder):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight)

    @property
    def encoder(self) -> DilatedResNet101:
        """The backbone, under the name that torchgeo's networks have for it."""
        return self.backbone

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``.
        """
        low, high = self.backbone(x)
        return _resize(self.decoder(self.aspp(high), low), x)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    """Bring features to the height and width of others."""
    size = like.shape[-2:]
    return functional.interpolate(x, size=size, mode='bilinear', align_corners=True)


class _AtrousConvolution(nn.Module):
    """Dilated convolution, batch normalisation, ReLU; 256 features."""

    def __init__(self, in_channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.atrous_conv = nn.Conv2d(
            in_channels,
            256,
            kernel_size,
            padding=dilation if kernel_size > 1 else 0,
            dilation=dilation,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(256)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.atrous_conv(x)))


class _SpatialPyramid(nn.Module):
    """Atrous spatial pyramid pooling: what is around, at four distances and overall."""

    def __init__(self, in_channels: int, dilations: tuple[int, int, int]) -> None:
        super().__init__()
        near, far, farthest = dilations
        self.aspp1 = _AtrousConvolution(in_channels, kernel_size=1, dilation=1)
        self.aspp2 = _AtrousConvolution(in_channels, kernel_size=3, dilation=near)
        self.aspp3 = _AtrousConvolution(in_channels, kernel_size=3, dilation=far)
        self.aspp4 = _AtrousConvolution(in_channels, kernel_size=3, dilation=farthest)
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, 256, kernel_size=1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
        )
        self.conv1 = nn.Conv2d(5 * 256, 256, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(256)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.aspp1(x), self.aspp2(x), self.aspp3(x), self.aspp4(x)]
        branches.append(_resize(self.global_avg_pool(x), x))
        joined = self.conv1(torch.cat(branches, dim=1))
        return self.dropout(functional.relu(self.bn1(joined)))


class _Decoder(nn.Module):
    """Join the pyramid with features of the first stage, and turn both into logits."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(256, 48, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(48)
        self.last_conv = nn.Sequential(
            nn.Conv2d(256 + 48, 256, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(256, 256, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(256, num_classes, kernel_size=1),
        )

    def forward(self, pyramid: Tensor, low: Tensor) -> Tensor:
        low = functional.relu(self.bn1(self.conv1(low)))
        return self.last_conv(torch.cat([_resize(pyramid, low), low], dim=1))

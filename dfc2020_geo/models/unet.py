"""The U-Net of the 2020 baseline."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

# The names of modules are those of the baseline, so its state dicts fit.


class BaselineUNet(nn.Module):
    """U-Net with bilinear upsampling, as the 2020 baseline had it.

    Four times halved and four times doubled; each doubled map is joined with the one
    of the same level on the way down. State dicts of the baseline load strictly.

    If you use this network in your research, please cite:

    * https://doi.org/10.1007/978-3-319-24574-4_28
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        """Initialize a new BaselineUNet instance.

        Args:
            in_channels: Number of channels of the input.
            num_classes: Number of classes of the output.
        """
        super().__init__()
        self.inc = _double_convolution(in_channels, 64)
        self.down1 = _down(64, 128)
        self.down2 = _down(128, 256)
        self.down3 = _down(256, 512)
        self.down4 = _down(512, 512)
        # Each level up reads the one below it and the one beside it.
        self.up1 = _Up(512 + 512, 256)
        self.up2 = _Up(256 + 256, 128)
        self.up3 = _Up(128 + 128, 64)
        self.up4 = _Up(64 + 64, 64)
        self.outc = _named('conv', nn.Conv2d(64, num_classes, kernel_size=1))

    @property
    def blocks(self) -> tuple[nn.Module, ...]:
        """The parts that the network is a chain of, one for each level down and up."""
        down = self.down1, self.down2, self.down3, self.down4
        return self.inc, *down, self.up1, self.up2, self.up3, self.up4

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits.

        Args:
            x: Images of shape ``(B, C, H, W)``, at least 16 pixels wide and high.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``.

        Raises:
            ValueError: If an image is too small to be halved four times.
        """
        if min(x.shape[-2:]) < 16:
            raise ValueError(
                f'Expected images of at least 16 x 16 pixels for the U-Net, '
                f'got {x.shape[-2]} x {x.shape[-1]}; pad them.'
            )
        skips = [self.inc(x)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in (self.up1, self.up2, self.up3, self.up4):
            x = up(x, skips.pop())
        return self.outc(x)


def _named(name: str, layer: nn.Module) -> nn.Module:
    """Give the weights of a layer a name of one more level."""
    return nn.Sequential(OrderedDict({name: layer}))


def _double_convolution(in_channels: int, out_channels: int) -> nn.Module:
    """Twice: convolution 3 x 3, batch normalisation, ReLU."""
    layers = nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
    return _named('double_conv', layers)


def _down(in_channels: int, out_channels: int) -> nn.Module:
    """Halve the size, then convolve."""
    convolution = _double_convolution(in_channels, out_channels)
    return _named('maxpool_conv', nn.Sequential(nn.MaxPool2d(2), convolution))


class _Up(nn.Module):
    """Double the size, join with the map from the way down, then convolve."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = _double_convolution(in_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = functional.interpolate(
            x, scale_factor=2, mode='bilinear', align_corners=True
        )
        # Halving an odd size has lost a row or column.
        rows, columns = skip.shape[-2] - x.shape[-2], skip.shape[-1] - x.shape[-1]
        left, top = columns // 2, rows // 2
        x = functional.pad(x, (left, columns - left, top, rows - top))
        return self.conv(torch.cat([skip, x], dim=1))

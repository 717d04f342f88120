"""ResNet-50 V2 (He et al. 2016, arXiv:1603.05027): batch norm and ReLU before each convolution.

The layers bear the names of timm's `resnetv2_50`, so that its published checkpoint
`resnetv2_50.a1h_in1k` loads as it is. timm's BiT models (`resnetv2_50x1_bit`) and those with a deep
stem (`resnetv2_50d`) are other networks.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, cast

from torch import Tensor, nn

from training.classifiers.initialisation import initialise
from training.classifiers.stem import Stem

STAGES: Final = (
    # channels, blocks, stride of the first one: table 1 of arXiv:1512.03385, column "50-layer"
    (256, 3, 1),
    (512, 4, 2),
    (1024, 6, 2),
    (2048, 3, 2),
)
STEM_CHANNELS: Final = 64


class Bottleneck(nn.Module):
    """Figure 4(e) of the paper. (batch, in, h, w) -> (batch, out, h / stride, w / stride).

    Where shapes change, the shortcut starts behind the first batch norm.
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        width = channels_out // 4
        self.downsample = (
            nn.Sequential(OrderedDict(conv=_conv(channels_in, channels_out, 1, stride)))
            if stride != 1 or channels_in != channels_out
            else None
        )
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.act1 = nn.ReLU(inplace=True)
        self.conv1 = _conv(channels_in, width, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU(inplace=True)
        self.conv2 = _conv(width, width, 3, stride)
        self.norm3 = nn.BatchNorm2d(width)
        self.act3 = nn.ReLU(inplace=True)
        self.conv3 = _conv(width, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.norm1(x))
        shortcut = x if self.downsample is None else self.downsample(y)
        y = self.act2(self.norm2(self.conv1(y)))
        y = self.act3(self.norm3(self.conv2(y)))
        return cast("Tensor", self.conv3(y) + shortcut)


class ResNet50V2(nn.Module):
    """Images, float (batch, 3, height, width) with values in [0, 1] -> logits (batch, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=Stem(STEM_CHANNELS, 7, stride=2),
                pool=nn.MaxPool2d(3, stride=2, padding=1),
            )
        )
        self.stages = nn.Sequential(*_stages())
        self.norm = nn.BatchNorm2d(STAGES[-1][0])
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        # timm's last layer is a 1 x 1 convolution of the pooled features.
        self.head = nn.Sequential(OrderedDict(fc=nn.Conv2d(STAGES[-1][0], classes, 1)))
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """The pooled features under the last layer, (batch, 2048)."""
        x = self.act(self.norm(self.stages(self.stem(x))))
        return cast("Tensor", self.pool(x).flatten(1))

    def last(self, features: Tensor) -> Tensor:
        """The logits of these features, (batch, classes)."""
        return cast("Tensor", self.head(features[:, :, None, None]).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x))


def _stages() -> list[nn.Module]:
    stages: list[nn.Module] = []
    channels = STEM_CHANNELS
    for width, count, stride in STAGES:
        blocks = nn.Sequential()
        for index in range(count):
            blocks.append(Bottleneck(channels, width, stride=stride if index == 0 else 1))
            channels = width
        stages.append(nn.Sequential(OrderedDict(blocks=blocks)))
    return stages


def _conv(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2, bias=False)

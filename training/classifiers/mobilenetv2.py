"""MobileNetV2 1.0 (Sandler et al. 2018, arXiv:1801.04381), with timm's names for its layers.

The names are those of timm's `mobilenetv2_100`, so that its published checkpoints load as they are.
"""

from __future__ import annotations

from typing import Final, cast

from torch import Tensor, nn

from training.classifiers.initialisation import initialise
from training.classifiers.stem import Stem

STAGES: Final = (
    # expansion t, channels c, blocks n, stride s of the first one: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_CHANNELS: Final = 32
HEAD_CHANNELS: Final = 1280


class DepthwiseSeparable(nn.Module):
    """The first block: it does not expand its input. (batch, 32, h, w) -> (batch, 16, h, w)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv_dw = _depthwise(channels_in, stride=1)
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_pw = _pointwise(channels_in, channels_out)
        self.bn2 = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.bn1(self.conv_dw(x)))
        return cast("Tensor", self.bn2(self.conv_pw(x)))


class InvertedResidual(nn.Module):
    """Expand, convolve each channel by itself, project back. A shortcut where shapes allow it."""

    def __init__(self, channels_in: int, channels_out: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.conv_pw = _pointwise(channels_in, hidden)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_dw = _depthwise(hidden, stride=stride)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.act2 = nn.ReLU6(inplace=True)
        self.conv_pwl = _pointwise(hidden, channels_out)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.has_shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv_pw(x)))
        y = self.act2(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.has_shortcut else cast("Tensor", y)


class MobileNetV2(nn.Module):
    """Images, float (batch, 3, height, width) with values in [0, 1] -> logits (batch, classes)."""

    def __init__(self, classes: int, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.conv_stem = Stem(STEM_CHANNELS, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.act1 = nn.ReLU6(inplace=True)
        self.blocks = nn.Sequential(*_stages())
        self.conv_head = _pointwise(STAGES[-1][1], HEAD_CHANNELS)
        self.bn2 = nn.BatchNorm2d(HEAD_CHANNELS)
        self.act2 = nn.ReLU6(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(HEAD_CHANNELS, classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """The pooled features under the classifier, (batch, 1280)."""
        x = self.act1(self.bn1(self.conv_stem(x)))
        x = self.act2(self.bn2(self.conv_head(self.blocks(x))))
        return cast("Tensor", self.pool(x).flatten(1))

    def last(self, features: Tensor) -> Tensor:
        """The logits of these features, (batch, classes)."""
        return cast("Tensor", self.classifier(self.dropout(features)))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x))


def torchvision_names() -> dict[str, str]:
    """torchvision's name of every module that holds weights -> the name here."""
    names = {"features.0.0": "conv_stem", "features.0.1": "bn1"}
    number = 1
    for stage, (expansion, _, blocks, _) in enumerate(STAGES):
        for block in range(blocks):
            ours, theirs = f"blocks.{stage}.{block}", f"features.{number}.conv"
            parts = (
                {"0.0": "conv_dw", "0.1": "bn1", "1": "conv_pw", "2": "bn2"}
                if expansion == 1
                else {
                    "0.0": "conv_pw",
                    "0.1": "bn1",
                    "1.0": "conv_dw",
                    "1.1": "bn2",
                    "2": "conv_pwl",
                    "3": "bn3",
                }
            )
            names |= {f"{theirs}.{a}": f"{ours}.{b}" for a, b in parts.items()}
            number += 1
    names |= {f"features.{number}.0": "conv_head", f"features.{number}.1": "bn2"}
    return names | {"classifier.1": "classifier"}


def _stages() -> list[nn.Sequential]:
    stages = []
    channels = STEM_CHANNELS
    for expansion, width, count, stride in STAGES:
        blocks: list[nn.Module] = []
        for index in range(count):
            blocks.append(
                DepthwiseSeparable(channels, width)
                if expansion == 1
                else InvertedResidual(
                    channels, width, expansion=expansion, stride=stride if index == 0 else 1
                )
            )
            channels = width
        stages.append(nn.Sequential(*blocks))
    return stages


def _pointwise(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 1, bias=False)


def _depthwise(channels: int, *, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)

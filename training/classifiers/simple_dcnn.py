"""SimpleDCNN: a small plain convolutional network, the study's baseline.

The study gives its size, about 1.9 million parameters, but no table of layers. This is our
reading: the plain shape of VGG (Simonyan & Zisserman 2015, arXiv:1409.1556) with one convolution a
stage, batch norm, channels doubled while the picture is halved, and one hidden layer over averaged
features. The average lets it take pictures of any size from 32 px on; the hidden layer's width
makes up the study's size. There are no published weights for it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, cast

from torch import Tensor, nn

from training.classifiers.initialisation import initialise
from training.classifiers.stem import Stem

CHANNELS: Final = (32, 64, 128, 256, 512)
HIDDEN: Final = 640


class Stage(nn.Module):
    """A convolution and what follows it. (batch, in, h, w) -> (batch, out, h / 2, w / 2)."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.pool(self.act(self.norm(self.conv(x)))))


class SimpleDCNN(nn.Module):
    """Images, float (batch, 3, height, width) with values in [0, 1] -> logits (batch, classes)."""

    def __init__(self, classes: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        convolutions = [
            Stem(CHANNELS[0], 3),
            *(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(CHANNELS)),
        ]
        self.stages = nn.Sequential(*map(Stage, convolutions))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(CHANNELS[-1], HIDDEN)
        self.act = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(HIDDEN, classes)
        initialise(self)
        nn.init.kaiming_normal_(self.hidden.weight)  # it has a ReLU behind it, as convolutions do

    def features(self, x: Tensor) -> Tensor:
        """The features under the last layer, (batch, 640)."""
        return cast("Tensor", self.act(self.hidden(self.pool(self.stages(x)).flatten(1))))

    def last(self, features: Tensor) -> Tensor:
        """The logits of these features, (batch, classes)."""
        return cast("Tensor", self.classifier(self.dropout(features)))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x))

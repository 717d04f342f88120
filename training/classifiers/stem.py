"""The first convolution of a network, which takes pixels in [0, 1] whatever it was trained on."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

MEAN: Final = "mean"
"""Of the buffer, in a state dict behind the layer's own name."""


class Stem(nn.Conv2d):
    """A convolution of x - mean, (batch, 3, h, w) with values in [0, 1].

    mean: (3,), 0 unless published weights were trained on normalised pixels. Their deviation can be
    folded into the weights, their mean cannot: beyond the border lies 0, which to them is the mean
    colour, and would be black.
    """

    mean: Tensor

    def __init__(self, channels: int, size: int, *, stride: int = 1) -> None:
        """channels: made of three. size: of the kernel, which is padded to keep the image's."""
        super().__init__(3, channels, size, stride, padding=size // 2, bias=False)
        self.register_buffer(MEAN, torch.zeros(3))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that it overrides
        return super().forward(input - self.mean.view(1, 3, 1, 1))

    @torch.no_grad()
    def normalise(self, mean: Tensor, deviation: Tensor) -> None:
        """Computes what it did of (x - mean) / deviation, each (3,), from x."""
        self.weight /= deviation.view(1, 3, 1, 1)
        self.mean.mul_(deviation).add_(mean)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Weights of earlier versions, and those of others, have no mean."""
        state_dict.setdefault(prefix + MEAN, torch.zeros(3))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

"""The best linear denoiser of the training images, which the network starts from.

If images were Gaussian with mean m and, at each frequency f of each colour axis, the power S(f),
the velocity to expect of x = alpha x0 + sigma e would be (Wiener's filter, in terms of v)

    E[v | x](f) = alpha sigma (1 - S(f)) / (alpha^2 S(f) + sigma^2) * (x - alpha m)(f) - sigma m

This generalises the skip connection of Karras et al. 2022 (arXiv:2206.00364, table 1), which has
one variance for all frequencies. It takes most of the noise away before the network, whose few
channels cannot let the noise of every pixel through, has learned anything.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.synthesis.schedule import noise_schedule

_AXES = torch.tensor(
    [
        [1 / 3**0.5, 1 / 3**0.5, 1 / 3**0.5],
        [1 / 2**0.5, 0.0, -1 / 2**0.5],
        [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5],
    ]
)
"""Grey and two colours, orthonormal. Photographs vary finely in grey, but hardly in colour."""


class LinearDenoiser(nn.Module):
    """The velocities to expect of Gaussian images; nothing of it is trained.

    Until it is `fit`, or its state loaded, it takes images for noise of variance 0.1.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.power: Tensor
        self.mean: Tensor
        self.register_buffer("power", torch.full((3, size, size // 2 + 1), 0.1))
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("kept", noise_schedule().alphas_cumprod.float(), persistent=False)

    def fit(self, images: npt.NDArray[np.uint8]) -> None:
        """Takes mean and power from uint8 RGB images (n, size, size, 3)."""
        total = torch.zeros_like(self.power, dtype=torch.float64)
        mean = torch.from_numpy(images.mean((0, 1, 2)) / 127.5 - 1.0).float()
        for image in images:
            signal = torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1.0
            total += _spectrum(signal - mean[:, None, None]).abs().double() ** 2
        self.power.copy_(total / len(images))
        self.mean.copy_(mean)

    def forward(self, noisy: Tensor, t: Tensor) -> Tensor:
        """noisy: float (n, 3, size, size). t: whole numbers (n,)."""
        kept = cast("Tensor", self.kept)[t][:, None, None, None]
        alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
        mean = self.mean[:, None, None]
        gain = alpha * sigma * (1 - self.power) / (alpha**2 * self.power + sigma**2)
        # In 32 bits whatever the rest computes in: there is no such transform in 16.
        with torch.autocast(noisy.device.type, enabled=False):
            filtered = _spectrum(noisy.float() - alpha * mean) * gain
            return _signal(filtered, noisy.shape[-2:]) - sigma * mean


def _spectrum(signal: Tensor) -> Tensor:
    """(..., 3, h, w) to (..., 3, h, w / 2 + 1), by colour axis; white noise has the power 1."""
    turned = torch.einsum("ac,...chw->...ahw", _AXES.to(signal.device), signal)
    return cast("Tensor", torch.fft.rfft2(turned, norm="ortho"))


def _signal(spectrum: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_spectrum`."""
    turned = torch.fft.irfft2(spectrum, s=tuple(shape), norm="ortho")
    return torch.einsum("ac,...ahw->...chw", _AXES.to(spectrum.device), turned)

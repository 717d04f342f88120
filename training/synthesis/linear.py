"""The best linear denoiser of the training images, which the network starts from.

If images that are told c were Gaussian with mean m(c) and, at each frequency f of each colour axis,
the power S(f), the velocity to expect of x = alpha x0 + sigma e would be (Wiener's filter, in terms
of v)

    E[v | x, c](f) = alpha sigma (1 - S(f)) / (alpha^2 S(f) + sigma^2) * (x - alpha m(c))(f)
                     - sigma m(c)

m(c) is one colour for the whole image: the training images' mean, and what grade, share of trash,
region and light add to it, by ridge regression; where none of these is said, S(0) is larger by what
they would have told. A network alone is slow to learn such colours: they
are all but lost only in the heaviest noise, and are a small part of its loss even there.

The filter generalises the skip connection of Karras et al. 2022 (arXiv:2206.00364, table 1), which
has one variance for all frequencies. It takes most of the noise away before the network, whose few
channels cannot let the noise of every pixel through, has learned anything.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from training.synthesis.conditions import LIGHTS, VECTOR, Conditions
from training.synthesis.schedule import noise_schedule

_AXES = torch.tensor(
    [
        [1 / 3**0.5, 1 / 3**0.5, 1 / 3**0.5],
        [1 / 2**0.5, 0.0, -1 / 2**0.5],
        [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5],
    ]
)
"""Grey and two colours, orthonormal. Photographs vary finely in grey, but hardly in colour."""
_DOUBT: Final = 10.0
"""Images' worth of belief that nothing is added: few loads of a region tell more of themselves."""


class LinearDenoiser(nn.Module):
    """The velocities to expect of Gaussian images; nothing of it is trained.

    Until it is `fit`, or its state loaded, it takes images for noise of variance 0.1. regions: how
    many can be told.
    """

    def __init__(self, size: int, regions: int) -> None:
        super().__init__()
        self._regions = regions
        self.power: Tensor
        self.mean: Tensor
        self.usual: Tensor
        self.adds: Tensor
        self.untold: Tensor
        entries = VECTOR + regions + LIGHTS
        self.register_buffer("power", torch.full((3, size, size // 2 + 1), 0.1))
        self.register_buffer("mean", torch.zeros(3))
        # Of each entry of what is told: its mean, and what one of it adds to the mean colour.
        self.register_buffer("usual", torch.zeros(entries))
        self.register_buffer("adds", torch.zeros(entries, 3))
        # What S(0) gains on each colour axis where nothing is said.
        self.register_buffer("untold", torch.zeros(3))
        self.register_buffer("kept", noise_schedule().alphas_cumprod.float(), persistent=False)

    def fit(self, images: npt.NDArray[np.uint8], conditions: Conditions) -> None:
        """Takes means and power from uint8 RGB images (n, size, size, 3) and what they are."""
        colours = _mean_colours(images)
        self.mean.copy_(colours.mean(0))
        told, said = self._told(conditions)
        self.usual.copy_(told.sum(0) / said.sum(0).clamp(min=1))
        differs = ((told - self.usual) * said).double()
        doubt = _DOUBT * torch.eye(differs.shape[1], dtype=torch.float64)
        moved = differs.T @ (colours - colours.mean(0))
        self.adds.copy_(torch.linalg.solve(differs.T @ differs + doubt, moved))
        means, _ = self._expected(conditions)
        total = torch.zeros_like(self.power, dtype=torch.float64)
        for image, mean in zip(images, means, strict=True):
            signal = torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1.0
            total += _spectrum(signal - mean[:, None, None]).abs().double() ** 2
        self.power.copy_(total / len(images))
        strays = (_turned(colours - colours.mean(0)) ** 2).mean(0) * images[0].shape[0] ** 2
        self.untold.copy_(strays - self.power[:, 0, 0])

    def settle(self, images: npt.NDArray[np.uint8], conditions: Conditions) -> None:
        """Moves the mean to that of some of the images, such as a region's that cannot be told, as
        far as what they are told leaves it unsaid."""
        expected, _ = self._expected(conditions)
        strays = _mean_colours(images) - expected
        self.mean += strays.sum(0) / (len(strays) + _DOUBT)

    def forward(self, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """noisy: float (n, 3, size, size). t: whole numbers (n,). conditions: of all n."""
        kept = cast("Tensor", self.kept)[t][:, None, None, None]
        alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
        colour, untold = self._expected(conditions)
        mean = colour[..., None, None]
        power = self.power.repeat(len(noisy), 1, 1, 1)
        power[..., 0, 0] += untold
        gain = alpha * sigma * (1 - power) / (alpha**2 * power + sigma**2)
        # In 32 bits whatever the rest computes in: there is no such transform in 16.
        with torch.autocast(noisy.device.type, enabled=False):
            filtered = _spectrum(noisy.float() - alpha * mean) * gain
            return _signal(filtered, noisy.shape[-2:]) - sigma * mean

    def _expected(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """m(c), (n, 3), and what S(0) gains, (n, 3)."""
        told, said = self._told(conditions)
        differs = (told - self.usual) * said
        # Element by element, so that an image is the same in any batch.
        adds = (differs[..., None] * self.adds).sum(1)
        return self.mean + adds, (said.sum(1) == 0)[:, None] * self.untold

    def _told(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Vector, region and light as one row of entries, and which of them are said, 0 or 1: both
        (n, entries)."""
        parts = (
            conditions.vector,
            one_hot(conditions.region, 1 + self._regions)[:, 1:].float(),
            one_hot(conditions.light, 1 + LIGHTS)[:, 1:].float(),
        )
        said = [part.ne(0).any(1, keepdim=True).expand_as(part).float() for part in parts]
        return torch.cat(parts, dim=1), torch.cat(said, dim=1)


def _mean_colours(images: npt.NDArray[np.uint8]) -> Tensor:
    """Of uint8 images (n, h, w, 3), from -1 to 1: float64 (n, 3)."""
    return torch.from_numpy(images.mean((1, 2)) / 127.5 - 1.0)


def _spectrum(signal: Tensor) -> Tensor:
    """(..., 3, h, w) to (..., 3, h, w / 2 + 1), by colour axis; white noise has the power 1."""
    turned = torch.einsum("ac,...chw->...ahw", _AXES.to(signal.device), signal)
    return cast("Tensor", torch.fft.rfft2(turned, norm="ortho"))


def _turned(colours: Tensor) -> Tensor:
    """Colours (..., 3) by colour axis."""
    return colours @ _AXES.to(colours).T


def _signal(spectrum: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_spectrum`."""
    turned = torch.fft.irfft2(spectrum, s=tuple(shape), norm="ortho")
    return torch.einsum("ac,...ahw->...chw", _AXES.to(spectrum.device), turned)

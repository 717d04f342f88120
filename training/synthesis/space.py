"""Where diffusion takes place: in pixels, or in the latents of an autoencoder."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, DDPMScheduler
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from training.synthesis.schedule import noise_schedule


class Space(Protocol):
    """A signal, float (n, *shape), that stands for images.

    schedule: how it is noised, and whether v or the noise is predicted. bounded: all images'
    signals lie in [-1, 1].
    """

    shape: tuple[int, int, int]
    schedule: DDPMScheduler
    bounded: bool

    def encode(self, images: Tensor) -> Tensor:
        """The signal of uint8 RGB images (n, size, size, 3)."""

    def pixels(self, signal: Tensor) -> Tensor:
        """The images as float (n, 3, size, size), about [-1, 1]; differentiable."""


class PixelSpace:
    """The signal is the image."""

    bounded = True

    def __init__(self, size: int) -> None:
        self.shape = (3, size, size)
        self.schedule = noise_schedule()

    def encode(self, images: Tensor) -> Tensor:
        """See `to_signal`."""
        return to_signal(images)

    def pixels(self, signal: Tensor) -> Tensor:
        """As it is."""
        return signal


class LatentSpace:
    """The signal is the mean of an autoencoder's latents, scaled as its makers say (Rombach et al.
    2022, arXiv:2112.10752)."""

    bounded = False

    def __init__(self, vae: AutoencoderKL, schedule: DDPMScheduler, size: int) -> None:
        self._vae, self.schedule = vae, schedule
        side = size // 2 ** halvings(vae)
        self.shape = (int(vae.config["latent_channels"]), side, side)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The mean of the latents, so that an image has one signal."""
        found = self._vae.encode(to_signal(images)).latent_dist.mode()
        return cast("Tensor", found * self._vae.config["scaling_factor"])

    def pixels(self, signal: Tensor) -> Tensor:
        """What the decoder makes of it, image by image: what it computes on the way is many times
        larger than UNet and latents, and never kept of more than one. Gradients compute it again.
        """
        parts = torch.split(signal, 1)
        if torch.is_grad_enabled() and signal.requires_grad:
            # The decoder draws no random numbers whose state would have to be kept.
            found = [
                checkpoint(self._decode, part, use_reentrant=False, preserve_rng_state=False)
                for part in parts
            ]
        else:
            found = [self._decode(part) for part in parts]
        return torch.cat(found)

    def _decode(self, signal: Tensor) -> Tensor:
        return cast("Tensor", self._vae.decode(signal / self._vae.config["scaling_factor"]).sample)


def halvings(vae: AutoencoderKL) -> int:
    """How often it halves an image on the way to its latents."""
    return len(vae.config["block_out_channels"]) - 1


def to_signal(images: Tensor) -> Tensor:
    """uint8 (n, h, w, 3) to float (n, 3, h, w) in [-1, 1]."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_images(pixels: Tensor) -> npt.NDArray[np.uint8]:
    """The inverse of `to_signal`, clipped and rounded."""
    scaled = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()

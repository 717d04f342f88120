"""Augmentation of training images: what a camera and a video link could have made of the load."""

from __future__ import annotations

from typing import cast

import kornia.augmentation as K  # noqa: N812 - the library's own custom
import numpy as np
import torch
from torch import Tensor, nn


class Augmentation(nn.Module):
    """Images, float (batch, 3, size, size) in [0, 1], to varied images of the same kind.

    Shear, brightness, flips, crop and scale are the study's (III-B). Colour, blur, noise and JPEG
    stand for lamps, lenses and video compression. All randomness comes from torch's global
    generator: see `reseed`.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.steps = nn.Sequential(
            K.RandomHorizontalFlip(p=0.5),
            K.RandomVerticalFlip(p=0.5),
            K.RandomResizedCrop((size, size), scale=(0.6, 1.0), ratio=(0.85, 1.18), p=0.8),
            K.RandomAffine(degrees=0.0, shear=(-10.0, 10.0), padding_mode="reflection", p=0.3),
            K.RandomBrightness((0.75, 1.25), p=0.7),
            K.RandomContrast((0.8, 1.2), p=0.5),
            K.RandomRGBShift(0.05, 0.05, 0.05, p=0.4),
            K.RandomGaussianBlur((3, 3), (0.1, 0.8), p=0.15),
            K.RandomJPEG((50.0, 95.0), p=0.15),
            K.RandomGaussianNoise(std=0.015, p=0.3),
        )

    def forward(self, images: Tensor) -> Tensor:
        return cast("Tensor", self.steps(images)).clamp_(0.0, 1.0)


def reseed(seed: int, epoch: int, step: int) -> None:
    """Makes everything random from here on a function of (seed, epoch, step).

    A run that was killed and resumed then sees the very numbers it would have seen.
    """
    state = np.random.SeedSequence([seed, epoch, step]).generate_state(2, np.uint32)
    torch.manual_seed(int(state[0]) << 31 ^ int(state[1]))


def balanced_order(labels: Tensor, count: int) -> Tensor:
    """`count` image numbers, drawn with replacement so that every class is equally likely."""
    weight = 1.0 / torch.bincount(labels).clamp(min=1).double()
    return torch.multinomial(weight[labels], count, replacement=True)

"""Augmentation of training images.

none    as they are; each image once an epoch: the study's plain arm
oversample  as they are, rarer grades drawn more often
study   the study's five operations (III-B): shear, brightness, vertical flip, random crop and
        scale. Rarer grades are drawn more often, each time with other random parameters
camera  these and what lamps, lenses and a video link do to a picture
"""

from __future__ import annotations

from typing import Final, cast

import kornia.augmentation as K  # noqa: N812 - the library's own custom
from torch import Tensor, nn

from training.config import Augment

REVISION: Final = 2
"""Raised when what is done to images changes: runs of before are then others. 2: brightness is a
factor; it was added before, by up to a quarter of the range, which drowned dark loads in black."""


class Augmentation(nn.Module):
    """Images, float (batch, 3, size, size) in [0, 1], to varied images of the same kind.

    Each image has numbers of its own, but crops come to all of a batch or to none. All randomness
    comes from torch's global generator: see `training.sampling.reseed`.
    """

    def __init__(self, augment: Augment, size: int) -> None:
        super().__init__()
        make = {"study": _study, "camera": _camera}.get(augment)
        self.steps = nn.Sequential(*(make(size) if make else ()))

    def forward(self, images: Tensor) -> Tensor:
        return cast("Tensor", self.steps(images)).clamp_(0.0, 1.0)


def is_balanced(augment: Augment) -> bool:
    """Are rarer grades drawn more often?"""
    return augment != "none"


def revision(augment: Augment) -> int | None:
    """Which changes of images a run has seen; None for images as they are."""
    return None if augment in ("none", "oversample") else REVISION


def _study(size: int) -> list[nn.Module]:
    return [
        K.RandomVerticalFlip(p=0.5),
        K.RandomResizedCrop((size, size), scale=(0.6, 1.0), ratio=(0.85, 1.18), p=0.8),
        K.RandomAffine(degrees=0.0, shear=(-10.0, 10.0), padding_mode="reflection", p=0.3),
        K.ColorJitter(brightness=(0.75, 1.25), p=0.7),
    ]


def _camera(size: int) -> list[nn.Module]:
    return [
        K.RandomHorizontalFlip(p=0.5),
        *_study(size),
        K.RandomContrast((0.8, 1.2), p=0.5),
        K.RandomRGBShift(0.05, 0.05, 0.05, p=0.4),
        K.RandomGaussianBlur((3, 3), (0.1, 0.8), p=0.15),
        K.RandomJPEG((50.0, 95.0), p=0.15),
        K.RandomGaussianNoise(std=0.015, p=0.3),
    ]

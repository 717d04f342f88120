"""What pixel values a network was trained on."""

from __future__ import annotations

from enum import StrEnum


class Pixels(StrEnum):
    """What the publisher of the weights fed the network with."""

    UNIT = "unit"
    """x in [0, 1], as here."""
    IMAGENET = "imagenet"
    """(x - mean) / std of ImageNet: torchvision and most of timm."""
    SYMMETRIC = "symmetric"
    """2 x - 1: TensorFlow's."""

    @property
    def mean_std(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation of the three channels."""
        return {
            Pixels.UNIT: ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
            Pixels.IMAGENET: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            Pixels.SYMMETRIC: ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        }[self]

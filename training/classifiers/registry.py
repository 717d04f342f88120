"""The classifiers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from torch import nn

from training.classifiers.hub import Published
from training.classifiers.mobilenetv2 import MobileNetV2, torchvision_names
from training.classifiers.pixels import Pixels
from training.classifiers.resnet50v2 import ResNet50V2
from training.classifiers.simple_dcnn import SimpleDCNN
from training.errors import TrainingError


@dataclass(frozen=True)
class Classifier:
    """How to build a network and how to read weights published for it.

    stem: name of the first convolution, a `Stem`.
    head: name of the last linear layer.
    torchvision_names: torchvision's module names -> the names here.
    published: timm's checkpoint on the hub, where there is one.
    """

    build: Callable[[int], nn.Module]
    stem: str
    head: str
    torchvision_names: Mapping[str, str] = field(default_factory=dict)
    published: Published | None = None


CLASSIFIERS: Final[dict[str, Classifier]] = {
    "simple_dcnn": Classifier(SimpleDCNN, "stages.0.conv", "classifier"),
    "resnet50v2": Classifier(
        ResNet50V2,
        "stem.conv",
        "head.fc",
        published=Published(
            "timm/resnetv2_50.a1h_in1k",
            "dcfd4fecb72889c1ce9fd9f7e5b75f8043889864",
            Pixels.SYMMETRIC,
        ),
    ),
    "mobilenetv2": Classifier(
        MobileNetV2,
        "conv_stem",
        "classifier",
        torchvision_names(),
        Published(
            "timm/mobilenetv2_100.ra_in1k",
            "f3ff81ba89de0bc46b546568ebeab2edef6b9d49",
            Pixels.IMAGENET,
        ),
    ),
}


def classifier(name: str) -> Classifier:
    """The classifier of this name. Raises TrainingError that lists the names there are."""
    try:
        return CLASSIFIERS[name]
    except KeyError:
        known = ", ".join(sorted(CLASSIFIERS))
        raise TrainingError(f"no classifier is called {name!r}; choose one of {known}") from None

"""The classifiers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from torch import nn

from training.classifiers.mobilenetv2 import MobileNetV2, torchvision_names
from training.errors import TrainingError


@dataclass(frozen=True)
class Classifier:
    """How to build a network and how to read weights published for it.

    stem, stem_norm: names of the first convolution and the batch norm behind it.
    head: name of the last linear layer.
    torchvision_names: torchvision's module names -> the names here.
    """

    build: Callable[[int], nn.Module]
    stem: str
    stem_norm: str
    head: str
    torchvision_names: Mapping[str, str]


CLASSIFIERS: Final[dict[str, Classifier]] = {
    "mobilenetv2": Classifier(MobileNetV2, "conv_stem", "bn1", "classifier", torchvision_names()),
}


def classifier(name: str) -> Classifier:
    """The classifier of this name. Raises TrainingError that lists the names there are."""
    try:
        return CLASSIFIERS[name]
    except KeyError:
        known = ", ".join(sorted(CLASSIFIERS))
        raise TrainingError(f"no classifier is called {name!r}; choose one of {known}") from None

"""The network before the first step: new, or from published weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from edge_agent.grades import GRADES
from training.classifiers import hub, weights
from training.classifiers.pixels import Pixels
from training.classifiers.registry import classifier
from training.data.dataset import ImageSet
from training.digest import sha256
from training.errors import WeightsError
from training.level import WithLevel
from training.model import METADATA_KEY, to_input
from training.sampling import reseed

HUB: Final = "hub"
"""What stands in place of a file's name for the checkpoint that timm published."""

RECALIBRATION_IMAGES: Final = 128


@dataclass(frozen=True)
class Weights:
    """Weights to start from: their file, its SHA-256, and the pixel values they were trained on.

    assumed: what is taken for granted of the file and may be wrong, in words; "" for nothing.
    ours: a model of `cane-train fit`.
    """

    file: Path
    sha256: str
    pixels: Pixels
    assumed: str = ""
    ours: bool = False

    @classmethod
    def find(cls, source: str, classifier_name: str, pixels: Pixels | None = None) -> Weights:
        """`source` is a file or "hub". Raises WeightsError.

        Where `pixels` is None: what the publisher says of a checkpoint on the hub, [0, 1] for a
        model of `cane-train fit`, ImageNet's normalisation for any other file, which then has
        `assumed` to be told.
        """
        assumed, ours = "", False
        if source == HUB:
            published = classifier(classifier_name).published
            if published is None:
                raise WeightsError(
                    f"weights {HUB}: none are published for {classifier_name}; "
                    "leave --weights out or give a file"
                )
            file, default = hub.download(published), published.pixels
        else:
            file = Path(source)
            ours = _is_ours(file)
            default = Pixels.UNIT if ours else Pixels.IMAGENET
            if default is Pixels.IMAGENET and pixels is None:
                assumed = (
                    f"weights {file}: taken as trained on ImageNet-normalised pixels; "
                    "--weights-pixels says otherwise"
                )
        try:
            digest = sha256(file)
        except OSError as error:
            raise WeightsError(
                f"weights {file}: {error.strerror or error}; check the path"
            ) from error
        return cls(file, digest, pixels or default, assumed, ours)

    def described(self) -> dict[str, str]:
        """What a run's configuration says of them."""
        # Earlier versions had the publisher's mean within the image alone, and black around it.
        around = "" if self.pixels is Pixels.UNIT else ", around the image too"
        return {"weights_sha256": self.sha256, "weights_pixels": self.pixels.value + around}


def initial_network(
    name: str, seed: int, train: ImageSet, given: Weights | None, *, level: bool = False
) -> nn.Module:
    """A network for the five grades: a function of the seed and of the weights, if any.

    level: with the second head; see `training.level`.

    Raises WeightsError when the weights are broken or another network's.
    """
    kind = classifier(name)
    reseed(seed, 0, 0)
    network = kind.build(len(GRADES))
    if given is not None:
        weights.load(network, kind, given.file, given.pixels)
        if weights.has_folded_batch_norm(network):
            sample = train.images[:: max(1, len(train) // RECALIBRATION_IMAGES)]
            images = to_input(torch.from_numpy(sample), torch.device("cpu"))
            weights.recalibrate_batch_norm(network, images)
    return WithLevel(network, kind.head) if level else network


def _is_ours(file: Path) -> bool:
    """Has the file been written by `cane-train fit`?"""
    try:
        with safe_open(file, framework="pt") as tensors:
            return METADATA_KEY in (tensors.metadata() or {})
    except (OSError, SafetensorError):
        return False  # not a safetensors file; reading it will tell what is wrong, if anything

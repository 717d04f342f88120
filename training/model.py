"""A trained classifier as a file: weights in safetensors, all else in its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edge_agent.grades import GRADES, Grade
from training.classifiers.registry import classifier
from training.digest import sha256
from training.errors import WeightsError
from training.level import LevelCard, WithLevel, estimates
from training.outputs import whole

MODEL_NAME: Final = "model.safetensors"
METADATA_KEY: Final = "canegrade"


class ModelCard(BaseModel):
    """What must be known of the weights to use them, and where they come from.

    temperature: T of softmax(logits / T). confidence_threshold: below it a person is asked.
    level: of the second head, where the network has one. training: the content of metrics.json.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classifier: str
    size: int = Field(ge=32, le=1024)
    labels: tuple[Grade, ...] = GRADES
    temperature: float = Field(gt=0)
    confidence_threshold: float = Field(ge=0, le=1)
    level: LevelCard | None = None
    training: dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What a model says of n images.

    probabilities: calibrated, float32 (n, 5). levels: low, middle and high of the share of trash,
    (n, 3), 0 to 100; None without the second head.
    """

    probabilities: npt.NDArray[np.float32]
    levels: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class TrainedModel:
    """A network in evaluation mode with its card. sha256: of the file it was read from."""

    network: nn.Module
    card: ModelCard
    sha256: str | None = None

    @classmethod
    def load(cls, path: Path) -> TrainedModel:
        """Reads RUN/model.safetensors, or the file itself. Raises WeightsError."""
        file = model_file(path)
        try:
            with safe_open(file, framework="pt") as tensors:
                metadata = tensors.metadata() or {}
                state = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
            card = ModelCard.model_validate_json(metadata[METADATA_KEY])
            kind = classifier(card.classifier)
            network = kind.build(len(card.labels))
            if card.level is not None:
                network = WithLevel(network, kind.head)
            network.load_state_dict(state)
        except OSError as error:
            raise WeightsError(
                f"model {file}: {error.strerror or error}; give a run folder of cane-train fit"
            ) from error
        except (KeyError, ValidationError, SafetensorError) as error:
            raise WeightsError(
                f"model {file}: not a model of cane-train fit; give its run folder or {MODEL_NAME}"
            ) from error
        except RuntimeError as error:
            raise WeightsError(
                f"model {file}: its weights do not fit a {card.classifier}; train it again"
            ) from error
        if card.labels != GRADES:
            raise WeightsError(f"model {file}: made for other grades; train it again")
        return cls(network.eval(), card, sha256(file))

    @property
    def classifier(self) -> nn.Module:
        """The network that grades, without the second head: images to logits (n, 5)."""
        if isinstance(self.network, WithLevel):
            return self.network.network
        return self.network

    def without_level(self) -> TrainedModel:
        """The same model without its second head."""
        return TrainedModel(self.classifier, self.card.model_copy(update={"level": None}))

    def save(self, path: Path) -> None:
        """Writes the file at once, under its name only when it is complete."""
        state = {name: t.contiguous() for name, t in self.network.state_dict().items()}
        with whole(path) as file:
            save_file(state, file, {METADATA_KEY: self.card.model_dump_json()})

    def says(self, images: npt.NDArray[np.uint8]) -> Said:
        """What it says of uint8 RGB images (n, size, size, 3)."""
        return self.read(outputs(self.network, images))

    def read(self, found: Tensor) -> Said:
        """What the network's `outputs` come to."""
        scaled = grades_of(found) / self.card.temperature
        level = self.card.level
        return Said(
            scaled.softmax(dim=1).numpy(),
            None if level is None else estimates(levels_of(found), level),
        )

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities, float32 (n, 5), of uint8 RGB images (n, size, size, 3)."""
        return self.says(images).probabilities


def model_file(path: Path) -> Path:
    """The file of a model: RUN/model.safetensors, or the file itself."""
    return path / MODEL_NAME if path.is_dir() else path


def logits(network: nn.Module, images: npt.NDArray[np.uint8]) -> Tensor:
    """Logits of the grades, float32 (n, 5) on the CPU, in full precision."""
    return grades_of(outputs(network, images))


def grades_of(found: Tensor) -> Tensor:
    """The logits of the grades, (n, 5), among a network's outputs."""
    return found[:, : len(GRADES)]


def levels_of(found: Tensor) -> npt.NDArray[np.float64]:
    """The second head's quantiles (n, 3), in points, as `level.estimates` takes them."""
    return found[:, len(GRADES) :].double().numpy() * 100


@torch.inference_mode()
def outputs(network: nn.Module, images: npt.NDArray[np.uint8], *, batch: int = 128) -> Tensor:
    """All that a network says, float32 (n, k) on the CPU, in full precision."""
    network.eval()
    device = next(network.parameters()).device
    parts = [
        network(to_input(torch.from_numpy(images[start : start + batch]), device)).float().cpu()
        for start in range(0, len(images), batch)
    ]
    return torch.cat(parts)


def to_input(images: Tensor, device: torch.device) -> Tensor:
    """uint8 (n, height, width, 3) -> float (n, 3, height, width) in [0, 1], channels last."""
    moved = images.to(device).permute(0, 3, 1, 2).float() / 255.0
    return moved.contiguous(memory_format=torch.channels_last)

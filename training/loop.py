"""The optimisation itself: epochs, early stopping, and resuming exactly.

Everything random is a function of (seed, epoch, step), so a run that is killed and resumed computes
the same losses, bit for bit, as one that was not, on the same machine with the same threads.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.augmentation import Augmentation, balanced_order, reseed
from training.data.dataset import ImageSet
from training.errors import RunError
from training.model import to_input

ORDER_STEP: Final = 2**31 - 1
"""The step number under which an epoch's order is drawn; no epoch has so many steps."""


class FitConfig(BaseModel):
    """Everything that decides what a run computes. A run resumes only under the same one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classifier: str = "mobilenetv2"
    size: int = Field(default=128, ge=32, le=1024)
    epochs: int = Field(default=50, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    patience: int = Field(default=5, ge=1)
    seed: int = Field(default=1, ge=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    agreement: float = Field(default=0.6, gt=0, le=1)
    weights_sha256: str | None = None
    data_digest: str = ""


class EpochRecord(BaseModel):
    """One line of a run's history. Losses are means over images, in nats."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


class Report(Protocol):
    """Whoever wants to know how it goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """A step is done."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is done."""


@dataclass
class Progress:
    """How far a run is; all of it goes into the checkpoint.

    step: steps done in the current epoch. losses: of every step so far.
    """

    epoch: int = 0
    step: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)


class Loop:
    """One run's optimisation. `run` returns why it ended; `progress.best_weights` is its result."""

    def __init__(
        self,
        network: nn.Module,
        train: ImageSet,
        validation: ImageSet,
        config: FitConfig,
        checkpoint: Path,
        *,
        save_every: float = 60.0,
    ) -> None:
        """Takes up `checkpoint` where it exists. Raises RunError if it is another run's.

        save_every: seconds between two checkpoints within an epoch; each epoch's end makes one too.
        """
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device)
        # Convolutions on CPUs are about a third faster with the channels of a pixel side by side.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.progress = Progress()
        self._train = train
        self._validation = validation
        self._labels = torch.from_numpy(train.labels)
        self._pixels = torch.from_numpy(train.images)
        self._steps = max(1, math.ceil(len(train) / config.batch))
        self._augment = Augmentation(config.size)
        self._optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
        self._checkpoint = checkpoint
        self._save_every = save_every
        if checkpoint.exists():
            self._resume()

    def run(
        self, report: Report, *, max_seconds: float = math.inf
    ) -> Literal["epochs", "patience", "time"]:
        """Trains until the epochs are done, validation stops improving, or time is up."""
        started = saved = time.monotonic()
        progress = self.progress
        while progress.epoch < self.config.epochs:
            if progress.epoch - progress.best_epoch > self.config.patience:
                return "patience"
            epoch_started = time.monotonic()
            reseed(self.config.seed, progress.epoch, ORDER_STEP)
            order = balanced_order(self._labels, self._steps * self.config.batch)
            while progress.step < self._steps:
                if time.monotonic() - started > max_seconds:
                    self.save()
                    return "time"
                loss = self._step(order)
                report.step(progress.epoch, progress.step, self._steps, loss)
                if time.monotonic() - saved > self._save_every:
                    self.save()
                    saved = time.monotonic()
            report.epoch(self._end_epoch(time.monotonic() - epoch_started))
            self.save()
            saved = time.monotonic()
        return "epochs"

    def learning_rate(self) -> float:
        """Of the next step: one epoch of linear warm-up, then a cosine down to zero."""
        config, total = self.config, self.config.epochs * self._steps
        done = self.progress.epoch * self._steps + self.progress.step
        warm_up = min(self._steps, total // 5)
        if done < warm_up:
            return config.learning_rate * (done + 1) / warm_up
        if config.schedule == "constant":
            return config.learning_rate
        part = (done - warm_up) / max(1, total - warm_up)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * part))

    def save(self) -> None:
        """Writes the checkpoint and renames it into place."""
        temporary = self._checkpoint.with_name(f".{self._checkpoint.name}.new")
        content = {
            "config": self.config.model_dump(),
            "progress": vars(self.progress),
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        with temporary.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._checkpoint)

    def _step(self, order: Tensor) -> float:
        """One batch. Leaves `progress` at the next step."""
        progress, config = self.progress, self.config
        chosen = order[progress.step * config.batch :][: config.batch]
        reseed(config.seed, progress.epoch, progress.step)
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate()
        images = self._augment(to_input(self._pixels[chosen], self.device))
        images = images.contiguous(memory_format=torch.channels_last)
        self.network.train()
        with self._autocast():
            logits = self.network(images)
        loss = cross_entropy(
            logits.float(),
            self._labels[chosen].to(self.device),
            label_smoothing=config.label_smoothing,
        )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        value = float(loss.detach())
        progress.losses.append(value)
        progress.step += 1
        return value

    def _end_epoch(self, seconds: float) -> EpochRecord:
        """Validates, keeps the best weights, and leaves `progress` at the next epoch."""
        progress = self.progress
        rate = self._optimiser.param_groups[0]["lr"]
        val_loss, accuracy = self._validate()
        if val_loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = val_loss, progress.epoch
            progress.best_weights = deepcopy(
                {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}
            )
        record = EpochRecord(
            epoch=progress.epoch,
            train_loss=sum(progress.losses[-self._steps :]) / self._steps,
            val_loss=val_loss,
            val_accuracy=accuracy,
            learning_rate=rate,
            seconds=round(seconds, 1),
        )
        progress.history.append(record.model_dump())
        progress.epoch += 1
        progress.step = 0
        return record

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """(mean cross-entropy, accuracy) on the validation split."""
        self.network.eval()
        images, labels = self._validation.images, torch.from_numpy(self._validation.labels)
        loss = right = 0.0
        for start in range(0, len(labels), 128):
            target = labels[start : start + 128].to(self.device)
            with self._autocast():
                batch = torch.from_numpy(images[start : start + 128])
                logits = self.network(to_input(batch, self.device)).float()
            loss += float(cross_entropy(logits, target, reduction="sum"))
            right += float((logits.argmax(1) == target).sum())
        return loss / len(labels), right / len(labels)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"
        )

    def _resume(self) -> None:
        try:
            content: Mapping[str, Any] = torch.load(
                self._checkpoint, map_location=self.device, weights_only=True
            )
            config = FitConfig.model_validate(content["config"])
        except Exception as error:
            fault = " ".join(str(error).split())[:120]
            raise RunError(
                f"checkpoint {self._checkpoint}: not readable ({fault}); delete it to start afresh"
            ) from error
        other = [n for n in FitConfig.model_fields if getattr(config, n) != getattr(self.config, n)]
        if other:
            name = other[0]
            raise RunError(
                f"{self._checkpoint.parent}: holds a run with {name} {getattr(config, name)}, now "
                f"it is {getattr(self.config, name)}; give another --out or delete the folder"
            )
        self.network.load_state_dict(content["network"])
        self._optimiser.load_state_dict(content["optimiser"])
        self.progress = Progress(**content["progress"])

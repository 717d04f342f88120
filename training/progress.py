"""How far a run is, and whom it tells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel

if TYPE_CHECKING:
    from torch import Tensor


class EpochRecord(BaseModel):
    """One line of a run's history. Losses are means over images, in nats."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


class Report(Protocol):
    """Whoever wants to know how the optimisation goes."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Step number `done` of the run's `total` is done."""

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

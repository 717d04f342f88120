"""Steps of an optimiser that can be killed and go on exactly: shared by the stages that train.

As in `training.loop`, everything random is a function of (seed, step, rank), so a resumed run
computes the same losses bit for bit on the same machine with the same threads and processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from torch import Tensor, nn

from training import parallel, sampling
from training.errors import RunError
from training.optimisation import Optimisation, cosine

STEP_EPOCH = 0
"""Stages count steps, not epochs; this stands where `sampling.reseed` wants an epoch."""


class Report(Protocol):
    """Whoever wants to know how it goes."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Step number `done` of `total` is done."""


@dataclass
class Ema:
    """An exponential moving average of a network's weights: what diffusion models sample with.

    decay: of the average, once it has warmed up (min(decay, (1 + n) / (10 + n)) after n steps).
    """

    decay: float
    weights: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def see(self, network: nn.Module, step: int) -> None:
        """Takes in the weights after a step. Whole numbers are copied."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            before = self.weights.get(name)
            if before is None or not tensor.is_floating_point():
                self.weights[name] = tensor.detach().clone()
            else:
                before.lerp_(tensor, 1 - decay)


class Steps:
    """One network's optimisation: AdamW, warm-up, cosine to zero, gradient norm clipped to 1.

    `loss` is called once a step, with this process's random state set, and returns the mean loss
    over this process's share of the batch.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        network: nn.Module,
        loss: Callable[[nn.Module, int], Tensor],
        file: Path,
        *,
        total: int,
        seed: int,
        learning_rate: float,
        config: Mapping[str, Any],
        ema: float | None = None,
        save_every: float = 60.0,
    ) -> None:
        """Takes up the checkpoint `file` where it exists.

        config: everything that decides what is computed, as JSON types; a checkpoint of another
        one is refused with RunError. save_every: seconds.
        """
        self.network = network
        self.losses: list[float] = []
        self.ema = None if ema is None else Ema(ema)
        self._loss, self._file = loss, file
        self._total, self._seed, self._rate = total, seed, learning_rate
        self._accelerator = accelerator
        trained = [p for p in network.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=1e-4)
        self._optimisation = Optimisation(
            accelerator, network, optimiser, file, config, save_every=save_every
        )
        before = self._optimisation.resume()
        if before is not None:
            self.losses = before["losses"]
            if self.ema is not None:
                averaged = before["ema"].items()
                self.ema.weights = {name: t.to(accelerator.device) for name, t in averaged}
        # None goes on to replace or delete the file before all have read it.
        accelerator.wait_for_everyone()

    def run(self, report: Report, *, deadline: float = math.inf) -> bool:
        """Trains to the last step, or until time is up; whether it got there.

        deadline: of time.monotonic(). Raises RunError when the loss is no longer a number.
        """
        model = self._optimisation.model.train()
        while len(self.losses) < self._total:
            if parallel.is_past(self._accelerator, deadline):
                self._optimisation.save(self._state())
                return False
            step = len(self.losses)
            sampling.reseed(self._seed, STEP_EPOCH, step, self._accelerator.process_index)
            loss = self._loss(model, step)
            self._optimisation.step(loss, learning_rate=self.learning_rate(step), clip=1.0)
            value = float(self._accelerator.reduce(loss.detach(), "mean"))
            if not math.isfinite(value):
                raise RunError(
                    f"{self._file.parent}: the loss is {value} at step {step + 1}; delete this "
                    "folder and run again with --precision fp32, or with another --seed"
                )
            self.losses.append(value)
            if self.ema is not None:
                self.ema.see(self.network, step)
            report.step(step + 1, self._total, value)
            self._optimisation.save_when_due(self._state())
        self._optimisation.save(self._state())
        # What is measured with the network is measured in full precision.
        self._optimisation.unwrapped()
        return True

    @property
    def averaged(self) -> Mapping[str, Tensor]:
        """The averaged weights, by their names in the network; the network's own without `ema`."""
        return self.ema.weights if self.ema else self.network.state_dict()

    def learning_rate(self, step: int) -> float:
        """Of a step, from 0: linear warm-up over a twentieth of the run, then a cosine to zero."""
        return cosine(self._rate, step, self._total, max(1, self._total // 20))

    def _state(self) -> dict[str, Any]:
        return {"losses": self.losses, "ema": self.ema.weights if self.ema else {}}

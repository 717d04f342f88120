"""Steps of an optimiser that can be killed and go on exactly: shared by the stages that train.

As in `training.loop`, everything random is a function of (seed, step, rank), so a resumed run
computes the same losses bit for bit on the same machine with the same threads and processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from torch import Tensor, nn

from training import checkpoint, parallel, sampling
from training.errors import RunError

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
        """Takes in the weights after a step. Buffers and whole numbers are copied."""
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
        self._loss, self._file, self._config = loss, file, dict(config)
        self._total, self._seed, self._rate = total, seed, learning_rate
        self._save_every = save_every
        self._accelerator = accelerator
        trained = [p for p in network.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=1e-4)
        self._model, self._optimiser = accelerator.prepare(network, optimiser)
        if file.exists():
            self._resume()
        # None goes on to replace or delete the file before all have read it.
        accelerator.wait_for_everyone()

    def run(self, report: Report, *, deadline: float = math.inf) -> bool:
        """Trains to the last step, or until time is up; whether it got there.

        deadline: of time.monotonic(). Raises RunError when the loss is no longer a number.
        """
        saved = time.monotonic()
        self._model.train()
        while len(self.losses) < self._total:
            if parallel.is_past(self._accelerator, deadline):
                self.save()
                return False
            step = len(self.losses)
            sampling.reseed(self._seed, STEP_EPOCH, step, self._accelerator.process_index)
            for group in self._optimiser.param_groups:
                group["lr"] = self.learning_rate(step)
            loss = self._loss(self._model, step)
            self._optimiser.zero_grad()
            self._accelerator.backward(loss)
            self._accelerator.clip_grad_norm_(self._model.parameters(), 1.0)
            self._optimiser.step()
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
            if time.monotonic() - saved > self._save_every:
                self.save()
                saved = time.monotonic()
        self.save()
        # What is measured with the network is measured in full precision.
        self._accelerator.unwrap_model(self._model, keep_fp32_wrapper=False)
        return True

    @property
    def averaged(self) -> Mapping[str, Tensor]:
        """The averaged weights, by their names in the network; the network's own without `ema`."""
        return self.ema.weights if self.ema else self.network.state_dict()

    def learning_rate(self, step: int) -> float:
        """Of a step, from 0: linear warm-up over a twentieth of the run, then a cosine to zero."""
        warm_up = max(1, self._total // 20)
        if step < warm_up:
            return self._rate * (step + 1) / warm_up
        part = (step - warm_up) / max(1, self._total - warm_up)
        return self._rate * 0.5 * (1 + math.cos(math.pi * part))

    def save(self) -> None:
        """Writes the checkpoint, in the main process."""
        if not self._accelerator.is_main_process:
            return
        scaler = self._accelerator.scaler
        state = {
            "losses": self.losses,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "ema": self.ema.weights if self.ema else {},
            "scaler": scaler.state_dict() if scaler else {},
        }
        checkpoint.write(self._file, self._config, state)

    def _resume(self) -> None:
        state = checkpoint.read(self._file, self._config)
        self.losses = state["losses"]
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._accelerator.scaler and state.get("scaler"):
            self._accelerator.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            device = self._accelerator.device
            self.ema.weights = {name: t.to(device) for name, t in state["ema"].items()}

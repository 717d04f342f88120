"""What all trainings have in common: a step of the optimiser, and a checkpoint to go on from."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.optim import Optimizer

from training import checkpoint


def cosine(peak: float, done: int, total: int, warm_up: int) -> float:
    """The learning rate of the step after `done` of `total`: it rises for `warm_up` steps in a line
    up to `peak`, then falls to zero as half a cosine does."""
    if done < warm_up:
        return peak * (done + 1) / warm_up
    part = (done - warm_up) / max(1, total - warm_up)
    return peak * 0.5 * (1 + math.cos(math.pi * part))


class Optimisation:
    """A network and its optimiser, prepared for the processes there are, and their checkpoint.

    model: says what there is a loss of; gradients reach `network` through it.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        network: nn.Module,
        optimiser: Optimizer,
        file: Path,
        config: Mapping[str, Any],
        *,
        save_every: float,
    ) -> None:
        """file: the checkpoint. config: everything that decides what is computed, as JSON types.
        save_every: seconds between two checkpoints that nobody asks for."""
        self.network = network
        self._accelerator = accelerator
        self._file, self._config = file, dict(config)
        self._save_every, self._saved = save_every, time.monotonic()
        self.model, self._optimiser = accelerator.prepare(network, optimiser)

    def resume(self, *, later: Collection[str] = ()) -> dict[str, Any] | None:
        """What `save` was given, network and optimiser being as they were then; None where there is
        no checkpoint. later: see `checkpoint.read`.

        Raises RunError when it is broken or of a run that computes something else.
        """
        if not self._file.exists():
            return None
        state = checkpoint.read(self._file, self._config, later=later)
        self.network.load_state_dict(state.pop("network"))
        self._optimiser.load_state_dict(state.pop("optimiser"))
        scaler = state.pop("scaler", None)
        if self._accelerator.scaler and scaler:
            self._accelerator.scaler.load_state_dict(scaler)
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Writes the checkpoint, in the main process. state: what else the run has to remember."""
        if self._accelerator.is_main_process:
            scaler = self._accelerator.scaler
            found = {
                "network": self.network.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "scaler": scaler.state_dict() if scaler else {},
            }
            checkpoint.write(self._file, self._config, {**state, **found})
        self._saved = time.monotonic()

    def save_when_due(self, state: Mapping[str, Any]) -> None:
        """`save`, where the last checkpoint is old."""
        if time.monotonic() - self._saved > self._save_every:
            self.save(state)

    def step(self, loss: Tensor, *, learning_rate: float, clip: float | None = None) -> None:
        """One step down the gradient of a loss, which is averaged over processes.

        clip: the largest norm that it may have.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.zero_grad()
        self._accelerator.backward(loss)
        if clip is not None:
            self._accelerator.clip_grad_norm_(self.model.parameters(), clip)
        self._optimiser.step()

    def unwrapped(self) -> nn.Module:
        """The network, which from now on computes in full precision."""
        return cast(
            "nn.Module", self._accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        )

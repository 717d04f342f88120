"""Seconds per training step and per image drawn, beside a loop as diffusers' examples have it.

Both loops train the same network (the preset cpu's, UNet and ControlNet together) on the same
images in one run, turn about. The other loop is what diffusers' training examples do at each
step: noise, a prediction, the mean square error, accelerate's backward pass, gradients clipped,
AdamW, a learning rate's schedule, and diffusers' own EMAModel. It has no loss on edges, no
conditions dropped and no random state set at each step; our own has. With several precisions
our loop takes a turn in each, and diffusers' in the first.

Prints one JSON object. Images are noise: their content does not change the time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from virtual import machine

from edge_agent.grades import GRADES
from training import parallel, provenance
from training.config import Precision
from training.synthesis.conditions import Conditions, Vocabulary
from training.synthesis.config import PRESETS
from training.synthesis.denoiser import HINTS, Architecture, Denoiser
from training.synthesis.diffuse import DiffusionLoss, Examples, sample
from training.synthesis.schedule import TRAIN_STEPS, noise_schedule
from training.synthesis.space import to_signal
from training.synthesis.steps import Steps

REGIONS = Vocabulary(regions=("east", "north"), lights=(80.0, 110.0, 140.0))


class Clock:
    """Takes the time of each of our steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = time.perf_counter()

    def step(self, done: int, total: int, loss: float) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="64,128,256")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="of each loop, turn about")
    parser.add_argument("--steps", type=int, default=4, help="a round; its first does not count")
    parser.add_argument("--images", type=int, default=4, help="drawn together")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", default="fp32", help="such as fp32,bf16; see above")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    about = {**machine(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    if torch.cuda.is_available():
        about["gpu"] = torch.cuda.get_device_name()
    sizes = [int(size) for size in options.sizes.split(",")]
    results = {str(size): measure(size, options) for size in sizes}
    found = {
        "command": provenance.command_line(),
        "sizes": results,
        "batch": options.batch,
        "machine": about,
    }
    print(json.dumps(found, indent=2))


def measure(size: int, options: argparse.Namespace) -> dict[str, Any]:
    preset = PRESETS["cpu"].diffuse
    shape = preset.model_dump(include={"patch", "widths", "layers", "attention"})
    architecture = Architecture(size=size, vocabulary=REGIONS, **shape)
    data = examples(size, 4 * options.batch)
    first, *others = options.precision.split(",")
    loops: dict[str, Callable[[], list[float]]] = {
        "ours": partial(ours, architecture, data, first, options),
        "diffusers": partial(theirs, architecture, data, first, options),
        **{f"ours {p}": partial(ours, architecture, data, p, options) for p in others},
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        for name, loop in loops.items():
            seconds[name] += loop()[1:]
    network = Denoiser(architecture).eval()
    count = options.images
    began = time.perf_counter()
    sample(network, data.conditions[:count], data.hints[:count], np.arange(count))
    drawn = (time.perf_counter() - began) / count
    step = {name: median(taken) for name, taken in seconds.items()}
    return {
        "parameters_m": round(sum(p.numel() for p in network.parameters()) / 1e6, 2),
        "step_s": {name: round(value, 3) for name, value in step.items()},
        "training_images_s": {n: round(options.batch / value, 2) for n, value in step.items()},
        "ours_to_diffusers": round(step["ours"] / step["diffusers"], 2),
        "drawn_image_s": round(drawn, 2),
    }


def ours(
    architecture: Architecture, data: Examples, precision: Precision, options: argparse.Namespace
) -> list[float]:
    clock = Clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        parallel.accelerator(precision) as accelerator,
    ):
        network = Denoiser(architecture)
        loss = DiffusionLoss(
            data,
            options.batch,
            accelerator.device,
            weight=PRESETS["cpu"].diffuse.edge_weight,
            space=network.space,
        )
        Steps(
            accelerator,
            network,
            loss,
            Path(folder) / "last.pt",
            total=options.steps,
            seed=1,
            learning_rate=1e-4,
            config={},
            ema=0.995,
        ).run(clock)
    return clock.seconds


def theirs(
    architecture: Architecture, data: Examples, precision: Precision, options: argparse.Namespace
) -> list[float]:
    schedule = noise_schedule()
    seconds = []
    with parallel.accelerator(precision) as accelerator:
        network = Denoiser(architecture)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
        rates = get_scheduler(
            "cosine", optimiser, num_warmup_steps=0, num_training_steps=options.steps
        )
        average = EMAModel(network.parameters(), decay=0.995)
        network, optimiser, rates = accelerator.prepare(network, optimiser, rates)
        network.train()
        pixels = to_signal(torch.from_numpy(data.images))
        hints = torch.from_numpy(data.hints).float() / 255
        for _ in range(options.steps):
            began = time.perf_counter()
            chosen = torch.randint(len(pixels), (options.batch,))
            clean, asked = pixels[chosen].to(accelerator.device), hints[chosen]
            noise = torch.randn_like(clean)
            t = torch.randint(TRAIN_STEPS, (options.batch,), device=accelerator.device)
            noisy = schedule.add_noise(clean, noise, t)
            said = data.conditions[chosen].to(accelerator.device)
            found = network(noisy, t, said, asked.to(accelerator.device))
            loss = torch.nn.functional.mse_loss(found, schedule.get_velocity(clean, noise, t))
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            rates.step()
            optimiser.zero_grad()
            average.step(network.parameters())
            loss.item()
            seconds.append(time.perf_counter() - began)
    return seconds


def examples(size: int, count: int) -> Examples:
    rng = np.random.default_rng(1)
    soft = np.eye(len(GRADES), dtype=np.float32)[rng.integers(0, len(GRADES), count)]
    conditions = Conditions.of(soft, [50] * count, [1] * count, [2] * count)
    return Examples(
        rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
        255 * rng.integers(0, 2, (count, HINTS, size, size), dtype=np.uint8),
        conditions,
        np.ones(count),
    )


if __name__ == "__main__":
    main()

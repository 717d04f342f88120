"""Training images a second of each classifier, beside timm's own in the same loop. Prints JSON.

Ours and timm's take turns, a few steps of the real training loop each, so that other work on the
machine meets both alike: compare the ratios. timm is no dependency; `pip install --no-deps timm`
brings it. It imports parts of torchvision that these networks do not use; where torchvision itself
does not import, as beside a CPU build of torch, empty stand-ins are put in its place.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import json
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from virtual import machine

from training import parallel, provenance
from training.classifiers.registry import CLASSIFIERS
from training.config import FitConfig, Precision
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.loop import Loop
from training.progress import EpochRecord

TIMM_NAMES: Final = {"mobilenetv2": "mobilenetv2_100", "resnet50v2": "resnetv2_50"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4, help="timed, in each turn")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each network")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto", help="several, by commas, take turns too")
    options = parser.parse_args()
    about = machine()
    torch.set_num_threads(options.threads)
    precisions: list[Precision] = [
        parallel.best_precision() if name == "auto" else name
        for name in options.precision.split(",")
    ]
    timm, why_not = find_timm()
    result: dict[str, Any] = {}
    for name, kind in CLASSIFIERS.items():
        makers: dict[str, Callable[[], nn.Module]] = {"ours": partial(kind.build, 5)}
        if timm is not None and name in TIMM_NAMES:
            makers["timm"] = partial(timm.create_model, TIMM_NAMES[name], num_classes=5)
            check_same(makers["ours"](), makers["timm"](), options.size)
        turns = [(who, precision) for who in makers for precision in precisions]
        seconds: dict[tuple[str, Precision], list[float]] = {turn: [] for turn in turns}
        for _ in range(options.rounds):
            for who, precision in turns:
                seconds[who, precision] += step_seconds(makers[who](), name, precision, options)
        rates = {turn: options.batch / statistics.median(s) for turn, s in seconds.items()}
        result[name] = {
            precision: {
                **{f"{who}_images_s": round(rates[who, precision], 1) for who in makers},
                "ours_to_timm": round(rates["ours", precision] / rates["timm", precision], 3)
                if "timm" in makers
                else None,
            }
            for precision in precisions
        }
    print(
        json.dumps(
            {
                "command": provenance.command_line(),
                "size": options.size,
                "batch": options.batch,
                "threads": options.threads,
                "steps_timed": options.steps * options.rounds,
                "classifiers": result,
                "timm": why_not or f"timm {version('timm')}",
                "versions": {name: version(name) for name in ("torch", "accelerate")},
                "machine": about,
            },
            indent=2,
        )
    )


def step_seconds(
    network: nn.Module, name: str, precision: Precision, options: argparse.Namespace
) -> list[float]:
    """Seconds of each of `options.steps` optimiser steps, after two to warm up."""
    steps = options.steps + 2
    config = FitConfig(
        classifier=name,
        size=options.size,
        epochs=None,
        steps=steps,
        batch=options.batch,
        patience=None,
        augment="none",
        precision=precision,
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, parallel.accelerator(precision) as accelerator:
        train, validation = noise(steps * options.batch, options.size), noise(2, options.size)
        file = Path(folder) / "last.pt"
        Loop(accelerator, network, train, validation, config, file, save_every=1e9).run(clock)
    return [float(seconds) for seconds in np.diff(clock.at)[1:]]


class Clock:
    """When each step ended."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def step(self, done: int, total: int, loss: float) -> None:
        self.at.append(time.perf_counter())

    def epoch(self, record: EpochRecord) -> None:
        """Validation is not timed."""


def noise(count: int, size: int) -> ImageSet:
    """What a network has to learn does not change how long it takes."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    rows = tuple(Row(image=f"{i}.png", truck=f"T{i}") for i in range(count))
    return ImageSet(pixels, rng.integers(0, 5, count), rows, ())


def check_same(ours: nn.Module, theirs: nn.Module, size: int) -> None:
    """Raises AssertionError unless both compute the same from the same weights."""
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand((2, 3, size, size))
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def find_timm() -> tuple[Any, str | None]:
    """The module timm, or None and why it cannot be had."""
    try:
        version("timm")
    except PackageNotFoundError:
        return None, "not installed; pip install --no-deps timm"
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.meta_path.insert(0, StandIns())
    try:
        return importlib.import_module("timm"), None
    except ImportError as error:
        return None, f"does not import: {error}"


class StandIns:
    """Finds an empty module for torchvision and for everything under it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] != "torchvision":
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing to run."""


class _Anything(type):
    """A class whose members are their own names, as those of an enumeration."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Empty(types.ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


if __name__ == "__main__":
    main()

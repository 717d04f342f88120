"""Models x arms x seeds on one dataset: the story of `cane-train study`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import torch

from training import parallel, provenance
from training.classifiers.pixels import Pixels
from training.data.dataset import Dataset
from training.errors import RunError
from training.experiments import baselines, results, simple_runs
from training.experiments.config import Run, StudyConfig
from training.model import write_json
from training.start import Weights
from training.train import CHECKPOINT_NAME, METRICS_NAME, Report, fit, train_summary

STUDY_NAME: Final = "study.json"


@dataclass(frozen=True)
class Start:
    """Published weights to start from, by model; others start from random ones.

    weights: a file, or "hub". pixels: see `training.start.Weights.find`.
    """

    weights: Mapping[str, str] = field(default_factory=dict)
    pixels: Pixels | None = None


def study(
    data: Path,
    out: Path,
    config: StudyConfig,
    report: Report,
    *,
    start: Start | None = None,
    threads: int | None = None,
    max_seconds: float = math.inf,
) -> dict[str, Any]:
    """Trains what is not trained yet, one folder a run, and returns what OUT/study.json gets.

    A second call with the same arguments skips finished runs and takes up the interrupted one.
    Where the dataset has no splits they are made, under the first seed; all runs share them.
    max_seconds: from now; training then stops at the next step, study.json says what is missing.
    Raises TrainingError, also when OUT holds runs of another study.
    """
    deadline = time.monotonic() + max_seconds
    if parallel.processes() > 1:
        raise RunError("a study runs in one process; start cane-train study without a launcher")
    config.check()
    if threads is not None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    start = start or Start()
    dataset = Dataset.open(data, agreement=config.agreement).split(config.seeds[0])
    digests = {
        model: Weights.find(source, model, start.pixels).sha256
        for model, source in start.weights.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    done: list[Run] = []
    left_out: dict[str, str] = {}
    for name in simple_runs.BASELINES:
        run = Run(name, "baseline", None)
        if name == simple_runs.FROZEN and not baselines.has_frozen_features():
            left_out[name] = (
                "its packages are not installed; in a checkout: pip install '.[benchmarks]'"
            )
            report.say(f"{run.name} is left out: {left_out[name]}")
            continue
        if not _is_finished(run, out, simple_runs.config_of(run, config), dataset):
            simple_runs.measure(run, run.folder(out), config, dataset, report)
        done.append(run)
    runs = list(config.runs())
    for number, run in enumerate(runs, start=1):
        wanted = config.fit(run).model_copy(update={"weights_sha256": digests.get(run.model)})
        if not _is_finished(run, out, wanted.model_dump(exclude=_NOT_ASKED), dataset):
            report.say(f"run {number} of {len(runs)}: {run.name}")
            metrics = fit(
                data,
                run.folder(out),
                config.fit(run),
                report,
                weights=start.weights.get(run.model),
                pixels=start.pixels,
                threads=threads,
                max_seconds=deadline - time.monotonic(),
            )
            if metrics is None or metrics["ended_by"] == "time":
                report.say("time is up; the same command goes on from here")
                break
            report.say(train_summary(metrics))
        # A finished run never goes on: what it would resume from is the largest of its files.
        (run.folder(out) / CHECKPOINT_NAME).unlink(missing_ok=True)
        done.append(run)
    found = {
        "command": provenance.command_line(),
        "date": provenance.now(),
        "machine": provenance.machine(),
        "versions": provenance.versions("scikit-learn", "scipy"),
        "config": config.model_dump(mode="json"),
        "start": {model: digests.get(model, "random") for model in config.models},
        "missing": [run.name for run in runs if run not in done],
        "left_out": left_out,
        **results.summary(out, done, dataset),
    }
    write_json(out / STUDY_NAME, found)
    return found


_NOT_ASKED: Final = {"data_digest", "processes"}


def _is_finished(run: Run, out: Path, wanted: Mapping[str, Any], dataset: Dataset) -> bool:
    """Is the run done? Raises RunError when its folder holds another one."""
    file = run.folder(out) / METRICS_NAME
    if not file.exists():
        return False
    cure = "give another --out or delete that folder"
    try:
        metrics = json.loads(file.read_text("utf-8"))
        found, digest = metrics["config"], metrics["data"]["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: not readable as a run's figures; {cure}") from error
    for name, value in wanted.items():
        before = found.get(name)
        if before != value:
            raise RunError(
                f"{file.parent}: holds a run with {name} {before}, now it is {value}; {cure}"
            )
    if digest != dataset.digest:
        raise RunError(f"{file.parent}: holds a run on other images, labels or splits; {cure}")
    return bool(metrics.get("ended_by") != "time")

"""A study's runs on external test sets: images of other datasets than its own.

What a run said of one lies in a folder of its own in the run's, so that whichever command writes
study.json has the figures of all of them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from training.data.dataset import Dataset
from training.data.overlap import require_disjoint
from training.digest import sha256
from training.errors import DataError, RunError
from training.evaluation import METRICS_NAME, Report, evaluate
from training.experiments import adjusted, simple_runs
from training.experiments.config import Run
from training.experiments.results import figures
from training.model import TrainedModel, model_file
from training.predictions import Predictions
from training.subject import subject_of

PREFIX: Final = "external-"
"""Of a folder in a run's; what follows stands for the dataset."""


def open_test(path: Path, agreement: float, *, learned_from: Sequence[Path]) -> Dataset:
    """The dataset. Raises DataError where it has no labelled image, or one that runs learn from.

    learned_from: datasets whose images, of whatever split, must not be among its own.
    """
    for known in learned_from:
        require_disjoint(known, path)
    dataset = Dataset.open(path, agreement=agreement)
    if not any(dataset.labels.grades):
        raise DataError(f"{dataset.manifest.path}: no image has a label to measure against")
    return dataset


def measure(
    out: Path,
    runs: Sequence[Run],
    own: Dataset,
    dataset: Dataset,
    report: Report,
    *,
    deadline: float,
) -> bool:
    """Asks those runs' models, or baselines, about all images of `dataset`, unless they were asked,
    and as long as there is time. Was any of them? own: what they have learned from. Raises
    TrainingError."""
    any_asked = False
    for run in runs:
        file = run.folder(out) / _name(dataset) / METRICS_NAME
        if _is_of(file, run.folder(out)):
            continue
        if time.monotonic() > deadline:
            report.say("time is up before all runs were asked about the external test set")
            break
        report.say(f"{run.name} on {dataset.manifest.name}")
        folder = run.folder(out)
        subject = (
            simple_runs.subject_of(run, folder, own, report)
            if run.model in simple_runs.BASELINES
            else subject_of(TrainedModel.load(folder))
        )
        evaluate(subject, dataset, "all", report, run=folder, out=file)
        any_asked = True
    return any_asked


def summaries(out: Path, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Of each dataset that any of the runs was asked about: what it is, and the `figures` of the
    runs that were, with the model that they have now."""
    folders = {run: sorted(run.folder(out).glob(f"{PREFIX}*")) for run in runs}
    for name in sorted({folder.name for found in folders.values() for folder in found}):
        asked = [
            run for run in runs if _is_of(run.folder(out) / name / METRICS_NAME, run.folder(out))
        ]
        if asked:
            said = {run: Predictions.read(run.folder(out) / name) for run in asked}
            yield {
                "data": _read(asked[0].folder(out) / name / METRICS_NAME)["data"],
                **figures(said),
                "adjusted": adjusted.figures(out, said),
            }


def _name(dataset: Dataset) -> str:
    """Of a folder. By the images' names and order too, in which predictions are compared; a
    dataset's digest does not tell them."""
    rows = "\n".join(f"{row.image} {row.truck}" for row in dataset.manifest.rows)
    return PREFIX + hashlib.sha256(f"{dataset.digest}\n{rows}".encode()).hexdigest()[:8]


def _is_of(file: Path, folder: Path) -> bool:
    """Is this metrics.json there, and of the model, or the baseline, in a run's folder?"""
    if not file.exists():
        return False
    model = model_file(folder)
    now = sha256(model) if model.exists() else simple_runs.identity(folder)
    return bool(_read(file)["model"]["sha256"] == now)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = dict(json.loads(file.read_text("utf-8")))
        if not found["data"] or not found["model"]["sha256"]:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: not readable; delete its folder and measure again") from error
    return found

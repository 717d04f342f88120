"""A study's runs on external test sets: images of other datasets than its own.

What a run said of one lies in a folder of its own in the run's, so that whichever command writes
study.json has the figures of all of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from training.data.dataset import Dataset
from training.data.overlap import require_disjoint
from training.errors import DataError, RunError
from training.evaluation import Report, evaluate
from training.experiments.config import Run
from training.experiments.results import figures
from training.model import TrainedModel, model_file
from training.predictions import Predictions
from training.provenance import sha256
from training.train import METRICS_NAME

PREFIX: Final = "external-"
"""Of a folder in a run's, followed by the beginning of the dataset's digest."""
_DIGITS: Final = 8


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
    out: Path, runs: Sequence[Run], dataset: Dataset, report: Report, *, deadline: float
) -> None:
    """Asks those runs' models about all images, unless they were asked, and as long as there is
    time. Raises TrainingError."""
    for run in runs:
        file = run.folder(out) / f"{PREFIX}{dataset.digest[:_DIGITS]}" / METRICS_NAME
        if _asked(file) == sha256(model_file(run.folder(out))):
            continue
        if time.monotonic() > deadline:
            report.say("time is up before all runs were asked about the external test set")
            return
        report.say(f"{run.name} on {dataset.manifest.name}")
        evaluate(TrainedModel.load(run.folder(out)), dataset, "all", report, out=file)


def summaries(out: Path, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Of each dataset that any of the runs was asked about: what it is, and the `figures` of the
    runs that were."""
    folders = {run: sorted(run.folder(out).glob(f"{PREFIX}*")) for run in runs}
    for name in sorted({folder.name for found in folders.values() for folder in found}):
        asked = [run for run in runs if (run.folder(out) / name / METRICS_NAME).exists()]
        if asked:
            yield {
                "data": _read(asked[0].folder(out) / name / METRICS_NAME)["data"],
                **figures({run: Predictions.read(run.folder(out) / name) for run in asked}),
            }


def _asked(file: Path) -> str | None:
    """The digest of the model that a metrics.json is of; None where there is none."""
    return str(_read(file)["model"]["sha256"]) if file.exists() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        found = dict(json.loads(file.read_text("utf-8")))
        if not found["data"] or not found["model"]["sha256"]:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: not readable; delete its folder and measure again") from error
    return found

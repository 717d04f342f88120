"""A study's runs on a dataset beside its own, such as a larger one than its test split.

What a run said of it lies in a folder of its own in the run's, so that whichever command writes
study.json has the figures of all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from training.data.dataset import Dataset
from training.data.manifest import Manifest
from training.errors import DataError, RunError
from training.evaluation import Report, evaluate
from training.experiments.config import Run
from training.experiments.results import figures
from training.model import TrainedModel
from training.predictions import Predictions
from training.provenance import sha256
from training.train import METRICS_NAME

PREFIX: Final = "further-"
"""Of a folder in a run's, followed by the beginning of the dataset's digest."""
_DIGITS: Final = 8


def measure(out: Path, runs: Sequence[Run], dataset: Dataset, report: Report) -> None:
    """Asks those runs' models about all of a dataset's images that have not been asked yet.

    Runs without a model, baselines, are passed over. Raises TrainingError.
    """
    for run in runs:
        if run.seed is None:
            continue
        file = run.folder(out) / f"{PREFIX}{dataset.digest[:_DIGITS]}" / METRICS_NAME
        if not file.exists():
            report.say(f"{run.name} on {dataset.manifest.name}")
            evaluate(TrainedModel.load(run.folder(out)), dataset, "all", report, out=file)


def summaries(out: Path, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Of each dataset that any of the runs was asked about: what it is, and their figures as in
    study.json, for those that were."""
    folders = {run: sorted(run.folder(out).glob(f"{PREFIX}*")) for run in runs}
    for name in sorted({folder.name for found in folders.values() for folder in found}):
        asked = [run for run in runs if (run.folder(out) / name / METRICS_NAME).exists()]
        if asked:
            yield {
                "data": _data(asked[0].folder(out) / name / METRICS_NAME),
                **figures({run: Predictions.read(run.folder(out) / name) for run in asked}),
            }


def _data(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text("utf-8"))["data"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: not readable; delete its folder and measure again") from error


def require_unknown(data: Path, further: Path) -> None:
    """Further images must not be among the study's: test images might be. Raises DataError.

    By content: a simulator names the trucks of every set alike.
    """
    known = {sha256(image): image for image in Manifest.read(data).images}
    for image in Manifest.read(further).images:
        if sha256(image) in known:
            raise DataError(
                f"{image}: is {known[sha256(image)]} of the study; take others, such as those "
                "rendered with another --seed"
            )

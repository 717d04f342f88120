"""The baselines as runs of a study: the same files as a training leaves, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training import baselines, metrics, provenance
from training.calibration import confidence_threshold
from training.data.dataset import Dataset, ImageSet
from training.digest import sha256
from training.evaluation import (
    METRICS_NAME,
    Report,
    describe_data,
    figures_against,
    load_split,
    predictions_on,
    with_truth,
)
from training.experiments.config import Run, StudyConfig
from training.outputs import write_json
from training.predictions import PREDICTIONS_NAME
from training.subject import Subject

HISTOGRAM: Final = "colour_histogram"
FROZEN: Final = "frozen_features"

BASELINES: Final[Mapping[str, Callable[[baselines.Images], baselines.Features]]] = {
    HISTOGRAM: baselines.colour_histogram,
    FROZEN: baselines.frozen_features,
}


def config_of(run: Run, config: StudyConfig) -> dict[str, Any]:
    """What decides a baseline's figures, apart from the data."""
    return {"classifier": run.model, "size": config.size, "agreement": config.agreement}


def measure(
    run: Run, folder: Path, config: StudyConfig, dataset: Dataset, report: Report
) -> dict[str, Any]:
    """Fits on the training split, chooses on the validation split, measures on the test split.

    Sees the same pixels as the study's networks. Writes metrics.json and predictions.csv.
    """
    features = BASELINES[run.model]
    train = load_split(dataset, "train", config.size, report)
    validation = load_split(dataset, "val", config.size, report)
    test = load_split(with_truth(dataset), "test", config.size, report)
    report.say(f"{run.model}: features of {len(train) + len(validation) + len(test)} images")
    on_validation = features(validation.images)
    model, c = baselines.fitted((features(train.images), train), (on_validation, validation))
    chosen = baselines.probabilities(model, on_validation)
    threshold = confidence_threshold(chosen, validation.labels)
    found = baselines.probabilities(model, features(test.images))
    predictions = predictions_on(dataset, test, found)
    folder.mkdir(parents=True, exist_ok=True)
    predictions.write(folder / PREDICTIONS_NAME)
    skipped = sum(len(images.skips) for images in (train, validation, test))
    trucks = [row.truck for row in validation.rows]
    result = {
        **provenance.of_result("scikit-learn"),
        "config": {**config_of(run, config), "c": c},
        "data": describe_data(dataset, skipped=skipped),
        "confidence_threshold": threshold,
        "validation": metrics.evaluate(chosen, validation.labels, trucks, threshold=threshold),
        **figures_against(predictions, dataset, test.skips, key="test", threshold=threshold),
    }
    write_json(folder / METRICS_NAME, result)
    return result


def subject_of(run: Run, folder: Path, dataset: Dataset, report: Report) -> Subject:
    """A measured baseline, to be asked about other images. Fitted again, with the penalty chosen
    then, on the training split of `dataset`: its metrics.json says all that decides it."""
    measured = json.loads((folder / METRICS_NAME).read_text("utf-8"))
    config = measured["config"]
    features = BASELINES[run.model]
    train = load_split(dataset, "train", config["size"], report)
    model = baselines.logistic_regression(config["c"]).fit(features(train.images), train.labels)

    def answers(images: ImageSet) -> tuple[npt.NDArray[np.float32], None]:
        report.say(f"{run.model}: features of {len(images)} images")
        return baselines.probabilities(model, features(images.images)), None

    return Subject(
        {
            "classifier": run.model,
            "size": config["size"],
            "sha256": identity(folder),
            "seed": None,
            "data_digest": dataset.digest,
        },
        config["size"],
        measured["confidence_threshold"],
        dataset.digest,
        config["agreement"],
        measured["data"].get("classes"),
        answers,
        ("scikit-learn",),
    )


def identity(folder: Path) -> str:
    """SHA-256 of what stands for a baseline: what it says of each test image."""
    return sha256(folder / PREDICTIONS_NAME)

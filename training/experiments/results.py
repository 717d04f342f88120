"""study.json: one row a run, from the files the runs have left, and comparisons between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from edge_agent.grades import GRADES
from training.comparison import compare
from training.data.dataset import Dataset
from training.evaluation import describe_data
from training.experiments import published
from training.experiments.config import Run
from training.predictions import Predictions, pooled
from training.train import HISTORY_NAME, METRICS_NAME

_KEPT = (
    *("n", "trucks", "calibration_error", "calibration_error_ci"),
    *("hierarchy", "confusion_matrix", "intervals"),
)


def summary(out: Path, runs: Sequence[Run], dataset: Dataset) -> dict[str, Any]:
    """data, published, rows, pooled and comparisons of study.json.

    rows: one a run. pooled: one a model and arm, over its seeds; intervals keep a truck's images of
    all seeds together, and do not cover how seeds differ: `accuracy_of_seeds` shows that.
    comparisons: McNemar's tests on the test split's labels. p-values are not corrected for their
    number.
    """
    predictions = {run: Predictions.read(run.folder(out)) for run in runs}
    rows = [_row(run, run.folder(out)) for run in runs]
    return {
        "data": describe_data(dataset),
        "published": {"source": published.SOURCE, "accuracy": published.ACCURACY},
        "rows": rows,
        "pooled": list(_pooled(runs, rows, predictions)),
        "comparisons": [
            {
                "first": _names(first),
                "second": _names(second),
                **compare(predictions[first], predictions[second]),
            }
            for first, second in _pairs(runs)
        ],
    }


def _row(run: Run, folder: Path) -> dict[str, Any]:
    metrics = json.loads((folder / METRICS_NAME).read_text("utf-8"))
    row = {
        **_names(run),
        "steps": metrics.get("steps"),
        **_figures(metrics["test"]),
        "folder": run.name,
    }
    if "test_truth" in metrics:
        row["truth"] = _figures(metrics["test_truth"])
    if (folder / HISTORY_NAME).exists():
        history = json.loads((folder / HISTORY_NAME).read_text("utf-8"))
        row["kept_epoch"] = metrics["kept_epoch"]
        row["curve"] = _curve(history["epochs"])
    return row


def _figures(found: dict[str, Any]) -> dict[str, Any]:
    """Of one set of figures in metrics.json, what a table shows."""
    by_grade = {
        name: {grade.value: found["grades"][grade][name] for grade in GRADES}
        for name in ("recall", "recall_ci", "precision", "precision_ci")
    }
    return {
        "accuracy": found["accuracy"],
        "accuracy_ci": found["accuracy_ci"],
        "macro_f1": found["macro_f1"],
        "macro_f1_ci": found["macro_f1_ci"],
        **by_grade,
        "images": {grade.value: found["grades"][grade]["n"] for grade in GRADES},
        **{name: found[name] for name in _KEPT},
    }


def _curve(epochs: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """How training went, epoch by epoch: has it converged?"""
    return {
        name: [round(epoch[name], 4) for epoch in epochs]
        for name in ("train_loss", "val_loss", "val_accuracy", "seconds")
    }


def _pooled(
    runs: Sequence[Run], rows: Sequence[dict[str, Any]], predictions: dict[Run, Predictions]
) -> Iterator[dict[str, Any]]:
    for model, arm in dict.fromkeys((run.model, run.arm) for run in runs):
        same = [run for run in runs if (run.model, run.arm) == (model, arm)]
        several = pooled([predictions[run] for run in same])
        found = {
            "model": model,
            "arm": arm,
            "seeds": [run.seed for run in same],
            "accuracy_of_seeds": [
                row["accuracy"] for run, row in zip(runs, rows, strict=True) if run in same
            ],
            **_figures(several.figures(0.0)),
        }
        if any(several.truth) and several.truth != several.label:
            found["truth"] = _figures(several.figures(0.0, against="truth"))
        yield found


def _pairs(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Arms of a model and models of an arm, both of the same seed; baselines with everything."""
    for first, second in combinations(runs, 2):
        if first.seed is not None and second.seed not in (None, first.seed):
            continue
        if first.seed is None or (first.model == second.model) != (first.arm == second.arm):
            yield first, second


def _names(run: Run) -> dict[str, Any]:
    return {"model": run.model, "arm": run.arm, "seed": run.seed}

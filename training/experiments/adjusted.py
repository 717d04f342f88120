"""What runs would say with their decisions adjusted, as far as they know how (see `adjustment`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from training.adjustment import Adjustment
from training.classifiers.registry import CLASSIFIERS
from training.evaluation import METRICS_NAME
from training.experiments import results
from training.experiments.config import Run
from training.predictions import Predictions

_KEPT = (
    *("model", "arm", "seeds", "accuracy_of_seeds", "accuracy", "accuracy_ci"),
    *("macro_f1", "macro_f1_ci", "recall", "recall_ci", "precision", "precision_ci", "images"),
)


def figures(out: Path, predictions: Mapping[Run, Predictions]) -> dict[str, Any]:
    """`pooled`, with each seed's tau, and `pooled_comparisons`, as of `results.figures`.

    Of baselines nothing is said. not_adjusted: names of the runs of which nobody knows how, being
    of earlier versions.
    """
    trained = [run for run in predictions if run.model in CLASSIFIERS]
    known = {run: _of(run.folder(out) / METRICS_NAME) for run in trained}
    chosen = {run: found for run, found in known.items() if found is not None}
    found = results.over_seeds({run: how.of(predictions[run]) for run, how in chosen.items()})
    return {
        "not_adjusted": [run.name for run in known if run not in chosen],
        "pooled": [
            {
                **{name: one[name] for name in _KEPT},
                "tau": [chosen[Run(one["model"], one["arm"], seed)].tau for seed in one["seeds"]],
            }
            for one in found["pooled"]
        ],
        "pooled_comparisons": found["pooled_comparisons"],
    }


def _of(file: Path) -> Adjustment | None:
    try:
        return Adjustment.model_validate(json.loads(file.read_text("utf-8"))["adjustment"])
    except (KeyError, ValidationError):
        return None

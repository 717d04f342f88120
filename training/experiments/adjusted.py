"""What runs would say with their decisions adjusted, as far as they know how (see `adjustment`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from training.adjustment import Adjustment
from training.errors import RunError
from training.experiments import results
from training.experiments.config import Run
from training.predictions import Predictions
from training.train import METRICS_NAME

_KEPT = (
    *("model", "arm", "seeds", "accuracy_of_seeds", "accuracy", "accuracy_ci"),
    *("macro_f1", "macro_f1_ci", "recall", "recall_ci", "precision", "precision_ci", "images"),
)


def figures(out: Path, predictions: Mapping[Run, Predictions]) -> dict[str, Any]:
    """`pooled`, with each seed's tau, and `pooled_comparisons`, as of `results.figures`; of runs
    that have chosen one: baselines and those of earlier versions have not. Raises RunError."""
    known = {run: _of(run.folder(out) / METRICS_NAME) for run in predictions}
    chosen = {run: found for run, found in known.items() if found is not None}
    found = results.figures({run: how.of(predictions[run]) for run, how in chosen.items()})
    return {
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
        found = json.loads(file.read_text("utf-8")).get("adjustment")
        return None if found is None else Adjustment.model_validate(found)
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise RunError(f"{file}: not readable; delete its folder and run again") from error

"""Has every run of a study converged? Losses and validation accuracy in figures, run by run."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from training.report.tables import Table, model_name, signed, table


def courses(study: dict[str, Any]) -> Table | None:
    """A row a run with a course of training; None where there is none."""
    rows = [_row(one) for one in study["rows"] if "curve" in one]
    if not rows:
        return None
    columns = [
        "model",
        "arm",
        "seed",
        "training loss of the last epoch",
        "validation loss of the last epoch",
        "lowest validation loss",
        "in epoch",
        "validation accuracy of the last eighth",
        "more than in the eighth before, points",
    ]
    note = "Epochs count from 1. Accuracies are medians over an eighth of the epochs."
    return table("Courses of training", columns, rows, names=2, note=note)


def _row(one: dict[str, Any]) -> list[str]:
    losses: Sequence[float] = one["curve"]["val_loss"]
    accuracies: Sequence[float] = one["curve"]["val_accuracy"]
    lowest = min(range(len(losses)), key=losses.__getitem__)
    eighth = max(1, len(accuracies) // 8)
    last = median(accuracies[-eighth:])
    before = median(accuracies[-2 * eighth : -eighth] or accuracies[:1])
    return [
        model_name(one["model"]),
        one["arm"],
        str(one["seed"]),
        _loss(one["curve"]["train_loss"][-1]),
        _loss(losses[-1]),
        _loss(losses[lowest]),
        f"{lowest + 1} of {len(losses)}",
        f"{100 * last:.1f}",
        signed(last - before),
    ]


def _loss(value: float) -> str:
    """In nats. study.json has four digits."""
    return f"{value:.3f}" if value >= 0.01 else f"{value:.4f}"

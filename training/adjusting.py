"""A trained model made to decide for the mixture of loads that a mill has: `cane-train adjust`.

Nothing is trained. The last layer's bias is moved as `adjustment` says, so that the model itself,
and what is exported of it, says scarce grades sooner or later than before; then temperature and
threshold are chosen anew, on validation images that count as often as their grade comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import Tensor

from edge_agent.grades import GRADES, Grade
from training import provenance
from training.adjustment import Adjustment, shares_of
from training.calibration import confidence_threshold, temperature
from training.classifiers.registry import classifier
from training.comparison import difference
from training.errors import DataError, RunError
from training.evaluation import Report, evaluate_on, figures_of, load_split, predictions_on
from training.learned import known_to, remember
from training.model import MODEL_NAME, TrainedModel, grades_of, outputs
from training.outputs import write_json
from training.predictions import Predictions
from training.source import Source
from training.subject import level_figures, subject_of
from training.train import METRICS_NAME

FEW: Final = 10
"""With fewer validation images of a grade, whoever adjusts by them is warned."""

Floats = npt.NDArray[np.float64]


def adjust(
    checkpoint: Path,
    data: Path,
    out: Path,
    report: Report,
    *,
    mixture: Mapping[Grade, float] | None = None,
    tau: float | None = None,
) -> dict[str, Any]:
    """Writes to OUT what a run of `fit` leaves, of the adjusted model; returns its metrics.json.

    checkpoint: a run folder; it stays as it is. data: what it was trained on. mixture: how often
    each grade comes where the model is to grade; by default as among the validation images.
    tau: by default the one with the best macro F1 on validation images, at that mixture.
    Raises TrainingError, also where OUT is not empty.
    """
    source = Source.open(checkpoint, data)
    model, dataset, old = source.model, source.dataset, source.model.card.training
    if not checkpoint.is_dir():
        raise RunError(f"{checkpoint}: give the run's folder, with its predictions.csv")
    shares = _shares(old, checkpoint)
    tested_before = Predictions.read(checkpoint)
    _make_folder(out)
    validation = load_split(dataset, "val", model.card.size, report)
    labels = validation.labels
    wanted = _mixture(mixture, labels, dataset.manifest.path)
    warnings = _warnings(wanted, labels) if tau is None else []
    for warning in warnings:
        report.say(f"warning: {warning}")

    found = outputs(model.network, validation.images).clone()  # of inference: fixed
    before = model.read(found).probabilities
    how = (
        Adjustment.chosen(before, labels, shares, wanted)
        if tau is None
        else Adjustment(tau=tau, shares=tuple(shares.tolist()))
    )
    offsets = torch.from_numpy(how.offsets * model.card.temperature).float()
    _move_bias(model, offsets)
    found[:, : len(GRADES)] += offsets
    weights = (wanted / np.maximum(np.bincount(labels, minlength=len(GRADES)), 1))[labels]
    logits = grades_of(found)
    t = temperature(logits, torch.from_numpy(labels), torch.from_numpy(weights))
    threshold = confidence_threshold((logits / t).softmax(1).numpy(), labels, weights)

    told = {
        "date": provenance.now(),
        "tau": how.tau,
        "shares": list(how.shares),
        "mixture": dict(zip(GRADES, wanted.tolist(), strict=True)),
        "sha256": model.sha256,
    }
    card = model.card.model_copy(
        update={
            "temperature": t,
            "confidence_threshold": threshold,
            "training": {**old, "adjusted": told},
        }
    )
    adjusted = TrainedModel(model.network, card)
    now = adjusted.read(found)
    of_level = level_figures(card, now, validation)
    on_test = evaluate_on(subject_of(adjusted), dataset, "test", report, folder=out)
    was, became = (predictions_on(dataset, validation, p) for p in (before, now.probabilities))
    asked_before = model.card.confidence_threshold
    metrics = {
        **{name: value for name, value in old.items() if not name.startswith(_FIGURES)},
        "command": f"{old['command']} && {provenance.command_line()}",
        "warnings": [*old["warnings"], *warnings],
        "temperature": t,
        "confidence_threshold": threshold,
        "adjusted": {
            **told,
            "validation": _worth(was, became, wanted, asked_before),
            "test": _worth(tested_before, Predictions.read(out), wanted, asked_before),
        },
        "validation": figures_of(card, now, validation),
        "validation_at_mixture": became.figures(threshold, mixture=wanted),
        **({} if of_level is None else {"validation_level": of_level}),
        **on_test,
    }
    remember((), out, before=known_to(checkpoint) or ())
    TrainedModel(model.network, card.model_copy(update={"training": metrics})).save(
        out / MODEL_NAME
    )
    write_json(out / METRICS_NAME, metrics)  # the last file: with it the run is finished
    return metrics


_FIGURES: Final = ("adjustment", "validation", "test")
"""What metrics.json says of a model that is now another one."""


def _shares(old: Mapping[str, Any], checkpoint: Path) -> Floats:
    """Of the grades among the run's training images."""
    if "adjusted" in old:
        raise RunError(f"{checkpoint}: is adjusted already; give the run that it was made from")
    try:
        return np.array(Adjustment.model_validate(old["adjustment"]).shares)
    except (KeyError, ValidationError) as error:
        raise RunError(
            f"{checkpoint}: does not say how common grades were among its training images, being "
            "of an earlier version; train it again"
        ) from error


def _make_folder(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise RunError(f"{out}: is not empty; give another --out")


def _mixture(
    given: Mapping[Grade, float] | None, labels: npt.NDArray[np.int64], data: Path
) -> Floats:
    """Shares (5,) that sum to 1. Raises DataError where they do not, or nothing tells what a grade
    is taken for."""
    if given is None:
        return shares_of(labels)
    shares = np.array([given.get(grade, 0.0) for grade in GRADES])
    told = ", ".join(f"{grade}={share:g}" for grade, share in given.items())
    if not (shares >= 0).all() or not abs(shares.sum() - 1) < 0.005:
        raise DataError(
            f"--mixture {told}: sums to {shares.sum():g}; write how often each grade comes, none "
            "below 0, with 1 for all loads"
        )
    unseen = [g for i, g in enumerate(GRADES) if shares[i] > 0 and i not in labels]
    if unseen:
        raise DataError(
            f"{data}: no validation image of {', '.join(unseen)}, so nothing tells what such loads "
            "are taken for; add some, or leave the grade out of --mixture"
        )
    found: Floats = shares / shares.sum()
    return found


def _warnings(mixture: Floats, labels: npt.NDArray[np.int64]) -> list[str]:
    counts = np.bincount(labels, minlength=len(GRADES))
    few = [
        f"{counts[i]} of {g}" for i, g in enumerate(GRADES) if mixture[i] > 0 and counts[i] < FEW
    ]
    if not few:
        return []
    return [f"few validation images to choose tau by: {', '.join(few)}"]


def _move_bias(model: TrainedModel, offsets: Tensor) -> None:
    """Adds offsets (5,) to the logits that the model's network says."""
    head = model.classifier.get_submodule(classifier(model.card.classifier).head)
    with torch.no_grad():
        cast("Tensor", head.bias).add_(offsets)


def _worth(
    before: Predictions, now: Predictions, mixture: Floats, threshold: float
) -> dict[str, Any]:
    """What it was, at the mixture, and what has changed. threshold: what it was."""
    return {
        "before_at_mixture": before.figures(threshold, mixture=mixture),
        **difference(before, now, mixture=mixture),
    }

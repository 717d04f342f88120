"""A trained model made to decide for the mixture of loads that a mill has: `cane-train adjust`.

Nothing is trained. The last layer's bias is moved as `adjustment` says, so that the model itself,
and what is exported of it, says grades sooner or later than before; then temperature and threshold
are chosen anew, on validation images that count as often as their grade comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import Tensor

from edge_agent.grades import GRADES, Grade
from training import provenance
from training.adjustment import LEAST_SHARE, Adjustment, MixtureAdjustment, moved, shares_of
from training.alone import LOCK_NAME, alone
from training.calibration import calibrated
from training.classifiers.registry import classifier
from training.comparison import difference
from training.errors import DataError, RunError
from training.evaluation import (
    METRICS_NAME,
    Report,
    evaluate_on,
    figures_of,
    load_split,
    predictions_on,
)
from training.learned import LEARNED_NAME, known_to, remember
from training.model import MODEL_NAME, TrainedModel, grades_of, model_file, outputs
from training.outputs import write_json
from training.predictions import PREDICTIONS_NAME, Predictions
from training.sampling import balanced
from training.source import Source
from training.subject import subject_of

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
    toward: float | None = None,
) -> dict[str, Any]:
    """Writes to OUT what a run of `fit` leaves, of the adjusted model; returns its metrics.json.

    checkpoint: a run, which stays as it is. data: what it was trained on. mixture: how often each
    grade comes where the model is to grade; by default as among the validation images.
    tau, toward: see `MixtureAdjustment`, which chooses them where neither is given; else one that
    is not given is 0.
    After a kill the same call begins again. Raises TrainingError, also where OUT holds something
    else.
    """
    wanted = None if mixture is None else _shares_of_all(mixture)
    source = Source.open(checkpoint, data)
    model, dataset, old = source.model, source.dataset, source.model.card.training
    learned_as = _training_shares(old, checkpoint)
    known = known_to(model_file(checkpoint).parent)
    _require_free(out)
    out.mkdir(parents=True, exist_ok=True)
    with alone(out, report.say):
        _require_free(out)  # nor has another command finished it meanwhile
        validation = load_split(dataset, "val", model.card.size, report)
        labels = validation.labels
        wanted = shares_of(labels) if wanted is None else wanted
        _require_seen(wanted, labels, dataset.manifest.path)
        warnings = _warnings(wanted, labels, learned_as)
        for warning in warnings:
            report.say(f"warning: {warning}")
        found = outputs(model.network, validation.images).clone()  # those of inference are fixed
        before = model.read(found).probabilities
        how = _numbers(before, labels, learned_as, wanted, tau, toward)
        shift = torch.from_numpy(how.offsets * model.card.temperature).float()
        _move_bias(model, shift)
        found[:, : len(GRADES)] += shift
        adjusted = _recalibrated(model, how, grades_of(found), labels)
        on_test = evaluate_on(subject_of(adjusted), dataset, "test", report, folder=out)
        now = adjusted.read(found)
        became = predictions_on(dataset, validation, now.probabilities)
        was = replace(became, probabilities=before)
        tested = Predictions.read(out)
        tested_before = _before(tested, how, adjusted.card.temperature / model.card.temperature)
        asked_before = model.card.confidence_threshold
        threshold = adjusted.card.confidence_threshold
        metrics = {
            **{name: value for name, value in old.items() if not name.startswith(_FIGURES)},
            "command": f"{old['command']} && {provenance.command_line()}",
            "warnings": [*old.get("warnings", ()), *warnings],
            "temperature": adjusted.card.temperature,
            "confidence_threshold": threshold,
            "adjusted_for": {
                **adjusted.card.training["adjusted_for"],
                "validation": _worth(was, became, wanted, asked_before),
                "test": _worth(tested_before, tested, wanted, asked_before),
            },
            "validation": figures_of(adjusted.card, now, validation),
            "validation_at_mixture": became.figures(threshold, mixture=wanted),
            **on_test,
            # The second head is what it was, and so is what it is worth: its rival, the guess by
            # grade, is best made from probabilities that are for no mixture.
            **{name: value for name, value in old.items() if name.endswith("_level")},
        }
        if known is not None:
            remember((), out, before=known)
        card = adjusted.card.model_copy(update={"training": metrics})
        TrainedModel(adjusted.network, card).save(out / MODEL_NAME)
        write_json(out / METRICS_NAME, metrics)  # the last file: with it the run is finished
    return metrics


_FIGURES: Final = ("adjustment", "validation", "test")
"""What metrics.json says of a model that is now another one."""
_OURS: Final = (PREDICTIONS_NAME, LEARNED_NAME, MODEL_NAME, LOCK_NAME)
"""What a call that was killed may have left."""


def _shares_of_all(mixture: Mapping[Grade, float]) -> Floats:
    """(5,), with sum 1. Raises DataError for shares that have another."""
    shares = np.array([mixture.get(grade, 0.0) for grade in GRADES])
    if not (shares >= 0).all() or not abs(shares.sum() - 1) < 0.005:
        told = ", ".join(f"{grade}={share:g}" for grade, share in mixture.items())
        raise DataError(
            f"--mixture {told}: sums to {shares.sum():g}; write how often each grade comes, none "
            "below 0, with 1 for all loads"
        )
    found: Floats = shares / shares.sum()
    return found


def _training_shares(old: Mapping[str, Any], checkpoint: Path) -> Floats:
    """Of the grades among the run's training images."""
    if "adjusted_for" in old:
        raise RunError(f"{checkpoint}: is adjusted already; give the run that it was made from")
    try:
        return np.array(Adjustment.model_validate(old["adjustment"]).shares)
    except (KeyError, ValidationError) as error:
        raise RunError(
            f"{checkpoint}: does not say how common grades were among its training images, being "
            "of an earlier version; train it again"
        ) from error


def _require_free(out: Path) -> None:
    """Raises RunError where OUT holds what is none of an unfinished call."""
    there = [file.name for file in out.iterdir()] if out.is_dir() else []
    others = [name for name in there if name not in _OURS and not name.endswith(".new")]
    if others:
        raise RunError(f"{out}: holds {min(others)}; give another --out or delete that folder")


def _require_seen(mixture: Floats, labels: npt.NDArray[np.int64], data: Path) -> None:
    unseen = [g for i, g in enumerate(GRADES) if mixture[i] > 0 and i not in labels]
    if unseen:
        raise DataError(
            f"{data}: no validation image of {', '.join(unseen)}, so nothing tells what such loads "
            "are taken for; add some and train again"
        )


def _warnings(mixture: Floats, labels: npt.NDArray[np.int64], learned_as: Floats) -> list[str]:
    counts = np.bincount(labels, minlength=len(GRADES))
    few = [f"{counts[i]} of {g}" for i, g in enumerate(GRADES) if 0 < counts[i] < FEW]
    never = [g for i, g in enumerate(GRADES) if mixture[i] == 0 and learned_as[i] > 0]
    return [
        *([f"chosen by few validation images: {', '.join(few)}; add more"] if few else []),
        *(
            [f"not among the loads to be graded, and seldom said: {', '.join(never)}"]
            if never
            else []
        ),
    ]


def _numbers(
    before: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    shares: Floats,
    mixture: Floats,
    tau: float | None,
    toward: float | None,
) -> MixtureAdjustment:
    """As given, or as validation images choose."""
    if tau is None and toward is None:
        return MixtureAdjustment.chosen_for(before, labels, shares, mixture)
    return MixtureAdjustment(
        tau=tau or 0.0,
        toward=toward or 0.0,
        shares=tuple(shares.tolist()),
        mixture=tuple(mixture.tolist()),
    )


def _recalibrated(
    model: TrainedModel, how: MixtureAdjustment, logits: Tensor, labels: npt.NDArray[np.int64]
) -> TrainedModel:
    """The model, whose network has been moved, with temperature and threshold by the mixture, and
    what was done in its card. logits: (n, 5), as it says them now."""
    t, threshold = calibrated(logits, labels, _weights(np.array(how.mixture), labels))
    told = {
        **{name: value for name, value in provenance.of_result().items() if name != "command"},
        "sha256": model.sha256,
        "tau": how.tau,
        "toward": how.toward,
        "shares": dict(zip(GRADES, how.shares, strict=True)),
        "mixture": dict(zip(GRADES, how.mixture, strict=True)),
    }
    changed = {
        "temperature": t,
        "confidence_threshold": threshold,
        "training": {**model.card.training, "adjusted_for": told},
    }
    return TrainedModel(model.network, model.card.model_copy(update=changed))


def _weights(mixture: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """How much each validation image counts, (n,): those of a grade together as often as it comes,
    and as LEAST_SHARE at least: the network can say any grade, and is to be unsure of all."""
    alike: Floats = balanced(torch.from_numpy(labels)).numpy()
    return np.maximum(mixture, LEAST_SHARE)[labels] * alike


def _move_bias(model: TrainedModel, shift: Tensor) -> None:
    """Adds a shift (5,) to the logits that the model's network says."""
    head = model.classifier.get_submodule(classifier(model.card.classifier).head)
    with torch.no_grad():
        cast("Tensor", head.bias).add_(shift)


def _before(now: Predictions, how: MixtureAdjustment, ratio: float) -> Predictions:
    """What the model said, from what it says adjusted. ratio: of its temperature now to that
    before."""
    least = np.finfo(np.float32).tiny
    logs = np.log(np.maximum(now.probabilities, least).astype(np.float64)) * ratio
    likely = np.exp(logs - logs.max(1, keepdims=True))
    return replace(now, probabilities=np.asarray(moved(likely, -how.offsets), np.float32))


def _worth(
    before: Predictions, now: Predictions, mixture: Floats, threshold: float
) -> dict[str, Any]:
    """What it was, at the mixture, and what has changed. threshold: what it was."""
    return {
        "before_at_mixture": before.figures(threshold, mixture=mixture),
        **difference(before, now, mixture=mixture),
    }

"""How good a classifier is, from its probabilities alone: the figures of metrics.json.

A figure X has beside it X_ci, its 95 % interval by truck, [low, high]; null where the images say
nothing about it. A figure is null itself where it is not defined: the recall of a grade without an
image, the precision of one that the model never says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix  # type: ignore[import-untyped]

from edge_agent.grades import GRADES
from training import bootstrap, precision_recall, rates, reliability
from training.bootstrap import TruckBootstrap
from training.rates import QUESTIONS, OneAgainstRest


def evaluate(
    probabilities: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    trucks: Sequence[str],
    *,
    threshold: float,
    rounds: int = bootstrap.ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """The figures of metrics.json for one set of images.

    probabilities (n, 5), labels (n,), trucks: n names. Macro F1 is over the grades that occur in
    the labels. threshold: below this confidence a person is asked. rounds, seed: the bootstrap's.
    """
    guesses = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right = guesses == labels
    sure = confidence >= threshold
    resampled = TruckBootstrap(trucks, rounds=rounds, seed=seed)
    counts = confusion_matrix(labels, guesses, labels=range(len(GRADES)))
    found = rates.of(counts.astype(np.float64))
    drawn = rates.of(resampled.sums(rates.cells(labels, guesses)))
    unsure = resampled.sums(~sure) / resampled.sums(np.ones(len(labels)))
    return {
        "n": len(labels),
        "trucks": resampled.trucks,
        "intervals": {
            "method": "percentiles of a bootstrap by truck",
            "calibration_error": "how far the bins' gaps stray in it, by the triangle inequality",
            "level": bootstrap.LEVEL,
            "rounds": rounds,
            "seed": seed,
        },
        **resampled.figure("accuracy", found.accuracy, drawn.accuracy),
        **resampled.figure("macro_f1", found.macro_f1, drawn.macro_f1),
        "grades": {
            grade.value: {
                **_against_rest(found.grades, drawn.grades, i, resampled),
                **_average_precision(probabilities[:, i], labels == i, resampled),
                "n": int((labels == i).sum()),
                "trucks": len({trucks[int(j)] for j in np.flatnonzero(labels == i)}),
            }
            for i, grade in enumerate(GRADES)
        },
        "confusion_matrix": {
            "rows": "label",
            "columns": "model",
            "grades": list(GRADES),
            "counts": counts.tolist(),
        },
        "hierarchy": {
            question.name: {
                **resampled.figure("accuracy", found.answers[i], drawn.answers[:, i]),
                **_against_rest(found.questions, drawn.questions, i, resampled),
                "n": int(counts[question.applies].sum()),
                "yes": int(counts[question.yes].sum()),
            }
            for i, question in enumerate(QUESTIONS)
        },
        "calibration_error": round(reliability.calibration_error(confidence, right), 4),
        "calibration_error_ci": reliability.interval(confidence, right, resampled),
        "reliability": reliability.diagram(confidence, right),
        **resampled.figure("asks_a_person", (~sure).mean(), unsure),
        "accuracy_when_sure": round(float(right[sure].mean()), 4) if sure.any() else None,
        "pr_curves": {
            grade.value: precision_recall.curve(probabilities[:, i], labels == i)
            for i, grade in enumerate(GRADES)
            if (labels == i).any()
        },
    }


def at_mixture(
    probabilities: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    trucks: Sequence[str],
    mixture: npt.NDArray[np.float64],
    *,
    threshold: float,
) -> dict[str, Any]:
    """The figures that depend on how often grades come, as if they had come in these shares (5,).

    What each grade is taken for stays as it is. A figure is null where the mixture has a grade of
    which there is no image; one grade of few images and a large share sways them all. Accuracy and
    macro F1 have intervals, the others none. Else as `evaluate`.
    """
    resampled = TruckBootstrap(trucks)
    cells = rates.cells(labels, probabilities.argmax(axis=1))
    found = rates.of(rates.at(mixture, cells.sum(0)))
    drawn = rates.of(rates.at(mixture, resampled.sums(cells)))
    unsure = probabilities.max(axis=1) < threshold
    asked = sum(
        share * float(unsure[labels == i].mean()) if (labels == i).any() else np.nan
        for i, share in enumerate(mixture)
        if share > 0
    )
    return {
        "mixture": dict(zip(GRADES, mixture.round(6).tolist(), strict=True)),
        **resampled.figure("accuracy", found.accuracy, drawn.accuracy),
        **resampled.figure("macro_f1", found.macro_f1, drawn.macro_f1),
        "grades": {
            grade.value: {
                "precision": _rounded(found.grades.precision[i]),
                "recall": _rounded(found.grades.recall[i]),
                "n": int((labels == i).sum()),
            }
            for i, grade in enumerate(GRADES)
        },
        "trucks": resampled.trucks,
        "asks_a_person": _rounded(asked),
    }


def _rounded(figure: float) -> float | None:
    return None if np.isnan(figure) else round(float(figure), 4)


def _against_rest(
    found: OneAgainstRest, drawn: OneAgainstRest, i: int, resampled: TruckBootstrap
) -> dict[str, Any]:
    return {
        **resampled.figure("precision", found.precision[i], drawn.precision[:, i]),
        **resampled.figure("recall", found.recall[i], drawn.recall[:, i]),
        **resampled.figure("f1", found.f1[i], drawn.f1[:, i]),
    }


def _average_precision(
    scores: npt.NDArray[np.float32], positive: npt.NDArray[np.bool_], resampled: TruckBootstrap
) -> dict[str, Any]:
    area = precision_recall.average_precision(scores, positive)
    return {
        "average_precision": None if area is None else round(area, 4),
        "average_precision_ci": precision_recall.interval(scores, positive, resampled),
    }

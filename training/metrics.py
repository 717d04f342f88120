"""How good a classifier is, from its probabilities alone."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (  # type: ignore[import-untyped]
    confusion_matrix,
    precision_recall_fscore_support,
)

from edge_agent.grades import GRADES

CALIBRATION_BINS: Final = 15

_CLASSES: Final = list(range(len(GRADES)))
_HIERARCHY: Final = {
    # question: (answer per grade, does the question apply to the grade?)
    "sugarcane": ([g.is_sugarcane for g in GRADES], [True for _ in GRADES]),
    "burnt": ([bool(g.is_burnt) for g in GRADES], [g.is_sugarcane for g in GRADES]),
    "trash": ([bool(g.has_trash) for g in GRADES], [g.is_sugarcane for g in GRADES]),
}


def evaluate(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, threshold: float
) -> dict[str, Any]:
    """The figures of metrics.json for one set of images.

    probabilities (n, 5), labels (n,). Macro F1 is over the grades that occur in the labels.
    `threshold`: below this confidence a person is asked.
    """
    guesses = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right = guesses == labels
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, guesses, labels=_CLASSES, zero_division=0.0
    )
    sure = confidence >= threshold
    return {
        "n": len(labels),
        "accuracy": _share(right),
        "macro_f1": round(float(f1[support > 0].mean()), 4),
        "grades": {
            grade.value: {
                "precision": round(float(precision[i]), 4),
                "recall": round(float(recall[i]), 4),
                "f1": round(float(f1[i]), 4),
                "n": int(support[i]),
            }
            for i, grade in enumerate(GRADES)
        },
        "confusion_matrix": {
            "rows": "label",
            "columns": "model",
            "grades": list(GRADES),
            "counts": confusion_matrix(labels, guesses, labels=_CLASSES).tolist(),
        },
        "hierarchy_accuracy": _hierarchy(guesses, labels),
        "calibration_error": round(calibration_error(confidence, right), 4),
        "asks_a_person": _share(~sure),
        "accuracy_when_sure": _share(right[sure]),
    }


def calibration_error(confidence: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: |confidence - accuracy|, averaged over equal-width bins.

    Guo et al. 2017 (arXiv:1706.04599), equation 3.
    """
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        (bins == b).sum() * abs(confidence[bins == b].mean() - right[bins == b].mean())
        for b in np.unique(bins)
    ]
    return float(sum(gaps) / len(confidence))


def _hierarchy(
    guesses: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]
) -> dict[str, float | None]:
    """Share of right answers to each question, among the images it applies to."""
    result = {}
    for question, (answer, applies) in _HIERARCHY.items():
        answers, chosen = np.array(answer), np.array(applies)[labels]
        # A guess of "undefined" for cane answers the later questions wrongly too.
        right = (answers[guesses] == answers[labels]) & np.array(applies)[guesses]
        result[question] = _share(right[chosen])
    return result


def _share(values: npt.NDArray[np.bool_]) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None

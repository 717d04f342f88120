"""Accuracy, precision, recall and F1 from confusion matrices, of any number of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Question:
    """One level of the grades' hierarchy. Masks (5,) over the grades.

    applies: grades of which it can be asked. yes: grades of which the answer is yes.
    """

    name: str
    applies: Mask
    yes: Mask

    @property
    def right(self) -> Mask:
        """(label, guess): is the answer right? A guess of which it cannot be asked answers wrongly.

        "Undefined" for cane is thus a wrong answer to the later questions too.
        """
        right: Mask = (self.yes[:, None] == self.yes) & self.applies[:, None] & self.applies
        return right


_CANE: Final = np.array([grade.is_sugarcane for grade in GRADES])

QUESTIONS: Final = (
    Question("sugarcane", np.ones(len(GRADES), dtype=bool), _CANE),
    Question("burnt", _CANE, np.array([bool(grade.is_burnt) for grade in GRADES])),
    Question("trash", _CANE, np.array([bool(grade.has_trash) for grade in GRADES])),
)


@dataclass(frozen=True)
class OneAgainstRest:
    """precision, recall, f1: (..., k) for k things to tell from all others.

    nan where undefined: precision where nothing was called so, the others where nothing is so.
    """

    precision: Floats
    recall: Floats
    f1: Floats


@dataclass(frozen=True)
class Rates:
    """Figures of confusion matrices (..., 5, 5).

    accuracy, macro_f1: (...). Macro F1 is over the grades that occur among the labels.
    grades: each grade against the rest. questions: "yes" against the rest, in order of QUESTIONS.
    answers: (..., 3), the share of right answers to each question where it can be asked.
    """

    accuracy: Floats
    macro_f1: Floats
    grades: OneAgainstRest
    questions: OneAgainstRest
    answers: Floats


def cells(labels: npt.NDArray[np.int64], guesses: npt.NDArray[np.int64]) -> Floats:
    """A confusion matrix (5, 5) of each image alone, (n, 5, 5); their sum is that of all."""
    found = np.zeros((len(labels), len(GRADES), len(GRADES)))
    found[np.arange(len(labels)), labels, guesses] = 1
    return found


def at(mixture: Floats | None, confusion: Floats) -> Floats:
    """Confusion matrices (..., label, guess) as if labels had come in these shares (5,): what each
    label is taken for stays the same. As they are for None. nan where a label of the mixture does
    not occur."""
    if mixture is None:
        return confusion
    often = _ratio(confusion, confusion.sum(-1, keepdims=True)) * mixture[:, None]
    return np.where(mixture[:, None] > 0, often, 0.0)


def of(confusion: Floats) -> Rates:
    """The rates of confusion matrices (..., label, guess), 5 x 5, of counts."""
    total = confusion.sum((-2, -1))
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    grades = _one_against_rest(hits, confusion.sum(-1), confusion.sum(-2))
    occurs = ~np.isnan(grades.f1)
    yes = np.stack([question.yes for question in QUESTIONS]).astype(np.float64)
    asked = np.stack([question.applies for question in QUESTIONS]).astype(np.float64)
    right = np.stack([question.right for question in QUESTIONS]).astype(np.float64)
    return Rates(
        accuracy=_ratio(hits.sum(-1), total),
        macro_f1=_ratio(np.where(occurs, grades.f1, 0.0).sum(-1), occurs.sum(-1)),
        grades=grades,
        questions=_one_against_rest(
            np.einsum("qi,...ij,qj->...q", yes, confusion, yes),
            confusion.sum(-1) @ yes.T,
            confusion.sum(-2) @ yes.T,
        ),
        answers=_ratio(np.einsum("qij,...ij->...q", right, confusion), confusion.sum(-1) @ asked.T),
    )


def _one_against_rest(hits: Floats, labelled: Floats, guessed: Floats) -> OneAgainstRest:
    return OneAgainstRest(
        precision=_ratio(hits, guessed),
        recall=_ratio(hits, labelled),
        f1=np.where(labelled > 0, _ratio(2 * hits, labelled + guessed), np.nan),
    )


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole; nan where whole is 0."""
    found: Floats = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
    return found

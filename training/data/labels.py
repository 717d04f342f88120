"""From experts' votes to one label an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from edge_agent.grades import GRADES, Grade
from training.data import dawid_skene
from training.data.description import LabelMethod
from training.data.manifest import Row

LabelSource = Literal["votes", "truth"]

AGREEMENT: Final = 0.6
"""The usual share of votes, or probability, that makes a label: three of five experts."""


@dataclass(frozen=True)
class Labels:
    """One label a row, or None where there is none to trust.

    source: where they come from. "votes" when any row has votes, unless the truth was asked for.
    disputed: rows whose experts did not agree; set aside, not dropped.
    unlabelled: rows nobody has voted on, or without a known truth.
    method: how votes became labels.
    agreement: the share of votes, or the probability, that made a label.
    """

    grades: tuple[Grade | None, ...]
    source: LabelSource
    disputed: int
    unlabelled: int
    method: LabelMethod = "majority"
    agreement: float = AGREEMENT


def majority(votes: Sequence[Grade], agreement: float) -> Grade | None:
    """The grade that more than half and at least `agreement` (0..1) of the votes name, else None.

    Of five experts' the usual AGREEMENT asks for three.
    """
    if not votes:
        return None
    grade, count = Counter(votes).most_common(1)[0]
    share = count / len(votes)
    return grade if share > 0.5 and share >= agreement else None


def most_probable(rows: Sequence[Row], agreement: float) -> tuple[Grade | None, ...]:
    """Each row's grade by Dawid & Skene, None below `agreement` (0..1) or without a vote.

    Needs every vote column to be one expert throughout: it weighs experts by how they err.
    """
    voters = {name: n for n, name in enumerate(sorted({v for row in rows for v in row.voters}))}
    voted = [i for i, row in enumerate(rows) if row.votes]
    grades: list[Grade | None] = [None] * len(rows)
    if not voted:
        return tuple(grades)
    cast = [
        (place, voters[voter], GRADES.index(vote))
        for place, i in enumerate(voted)
        for voter, vote in zip(rows[i].voters, rows[i].votes, strict=True)
    ]
    votes = dawid_skene.Votes(*np.array(cast, np.int64).T)
    for i, probabilities in zip(voted, dawid_skene.posterior(votes, len(GRADES)), strict=True):
        best = int(probabilities.argmax())
        if probabilities[best] > 0.5 and probabilities[best] >= agreement:
            grades[i] = GRADES[best]
    return tuple(grades)


def label(
    rows: Sequence[Row],
    *,
    agreement: float = AGREEMENT,
    source: LabelSource | None = None,
    method: LabelMethod = "majority",
) -> Labels:
    """Labels of the rows, by the experts' votes, or from the column `grade`.

    agreement: the share of votes, or with Dawid & Skene the probability, that makes a label.
    """
    if source is None:
        source = "votes" if any(row.votes for row in rows) else "truth"
    if source == "truth":
        truth = tuple(row.grade for row in rows)
        return Labels(truth, source, disputed=0, unlabelled=truth.count(None))
    if method == "dawid-skene":
        grades = most_probable(rows, agreement)
    else:
        grades = tuple(majority(row.votes, agreement) for row in rows)
    unlabelled = sum(not row.votes for row in rows)
    disputed = grades.count(None) - unlabelled
    return Labels(grades, source, disputed, unlabelled, method, agreement)

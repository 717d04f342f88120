"""From experts' votes to one label an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_agent.grades import Grade
from training.data.manifest import Row

LabelSource = Literal["votes", "truth"]


@dataclass(frozen=True)
class Labels:
    """One label a row, or None where there is none to trust.

    source: where they come from. "votes" when any row has votes, unless the truth was asked for.
    disputed: rows whose experts did not agree; set aside, not dropped.
    unlabelled: rows nobody has voted on, or without a known truth.
    """

    grades: tuple[Grade | None, ...]
    source: LabelSource
    disputed: int
    unlabelled: int


def majority(votes: Sequence[Grade], agreement: float) -> Grade | None:
    """The grade that more than half and at least `agreement` (0..1) of the votes name, else None.

    With five experts and the default 0.6 that is three of five.
    """
    if not votes:
        return None
    grade, count = Counter(votes).most_common(1)[0]
    share = count / len(votes)
    return grade if share > 0.5 and share >= agreement else None


def label(
    rows: Sequence[Row], *, agreement: float = 0.6, source: LabelSource | None = None
) -> Labels:
    """Labels of the rows, by majority of the votes, or from the column `grade`."""
    if source is None:
        source = "votes" if any(row.votes for row in rows) else "truth"
    if source == "truth":
        truth = tuple(row.grade for row in rows)
        return Labels(truth, source, disputed=0, unlabelled=truth.count(None))
    grades = tuple(majority(row.votes, agreement) for row in rows)
    unlabelled = sum(not row.votes for row in rows)
    return Labels(grades, source, grades.count(None) - unlabelled, unlabelled)

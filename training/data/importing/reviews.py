"""Reviews of a station's trucks: what people said the grade was, from a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.grades import Grade
from training.data import tables
from training.data.importing.classes import ClassMap
from training.errors import DataError


@dataclass(frozen=True)
class Review:
    """One person's grade of one truck.

    key: the record's id or the ticket, as the column is called.
    """

    key: str
    grade: Grade
    reviewer: str


@dataclass(frozen=True)
class Reviews:
    """All reviews of a file, keyed by record or by ticket.

    left_out: reviews with a class that the class map leaves out.
    """

    by: str
    reviews: tuple[Review, ...]
    left_out: int

    def columns(self) -> dict[str, str]:
        """The vote column of each reviewer; a column is one person in all rows."""
        names = sorted({review.reviewer for review in self.reviews})
        return {name: f"vote_{number}" for number, name in enumerate(names, start=1)}

    def votes(self) -> dict[str, tables.Cells]:
        """The vote cells of each record or ticket."""
        columns = self.columns()
        cells: dict[str, tables.Cells] = {}
        for review in self.reviews:
            cells.setdefault(review.key, {})[columns[review.reviewer]] = review.grade
        return cells


def read(file: Path, classes: ClassMap) -> Reviews:
    """Reads the columns grade, reviewer and one of record or ticket.

    Raises DataError for missing columns, empty cells, unknown grades, and a reviewer who graded the
    same truck twice.
    """
    columns, rows = tables.read(file)
    by = next((name for name in ("record", "ticket") if name in columns), None)
    if by is None or not {"grade", "reviewer"} <= set(columns):
        raise DataError(
            f"{file}: has the columns {', '.join(columns)}; "
            "it needs grade, reviewer and one of record or ticket"
        )
    reviews: list[Review] = []
    seen: dict[tuple[str, str], int] = {}
    left_out = 0
    for number, row in enumerate(rows, start=2):
        where = f"{file}: row {number}"
        _require_filled(row, (by, "grade", "reviewer"), where)
        key, reviewer = row[by], row["reviewer"]
        if (key, reviewer) in seen:
            raise DataError(
                f"{where}: {reviewer} graded {by} {key} in row {seen[key, reviewer]} already; "
                "keep one"
            )
        seen[key, reviewer] = number
        classes.require([row["grade"]], f"{where}, grade")
        grade = classes.grade(row["grade"])
        if grade is None:
            left_out += 1
        else:
            reviews.append(Review(key, grade, reviewer))
    return Reviews(by, tuple(reviews), left_out)


def _require_filled(row: tables.Cells, columns: Sequence[str], where: str) -> None:
    empty = [name for name in columns if not row[name].strip()]
    if empty:
        raise DataError(f"{where}: {empty[0]} is empty; fill it or remove the row")

"""A table of images, CSV or Parquet, with columns and labels of its own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.data import tables
from training.data.description import Area, Description, Shows
from training.data.images import Skip
from training.data.importing.classes import ClassMap
from training.data.importing.target import Found
from training.data.manifest import VOTE_COLUMN, checked_rows, refuse_reserved, tidied
from training.errors import DataError


def find(
    file: Path,
    classes: ClassMap,
    *,
    columns: Mapping[str, str] | None = None,
    folder: Path | None = None,
    area: Area | None = None,
    shows: Shows | None = None,
) -> Found:
    """All rows of a table. Labels are mapped in the columns grade and vote_1, vote_2, ...

    columns: the manifest's column name of each column that is called otherwise here.
    folder: what the image paths are relative to; the table's own folder by default.
    area, shows: the graded area, and whether the files show it or the whole frame.

    dataset.json beside the table is taken over where nothing else is given. A row whose class is to
    be left out is skipped; a vote for one is no vote. Raises DataError for a missing column, one
    with a name that is taken, an unknown class, or a row that no manifest may have.
    """
    names, rows = tables.read(file)
    renamed = _renamed(file, names, columns or {})
    if "image" not in renamed.values():
        raise DataError(
            f"{file}: no column image; say which one it is with --column image=NAME "
            f"(there are {', '.join(names)})"
        )
    refuse_reserved(file, tuple(renamed.values()))
    known = Description.read(file.parent)
    # Further keys tell how that folder was made; they do not hold for this one.
    kept = {name: getattr(known, name) for name in Description.model_fields}
    base = folder or file.parent
    images: list[tuple[Path, tables.Cells]] = []
    numbers: list[int] = []
    skips: list[Skip] = []
    used: set[str] = set()
    ignored_votes = 0
    for number, row in enumerate(rows, start=2):
        cells = {renamed[name]: text for name, text in row.items()}
        where = f"{file}: row {number}"
        path = base / cells["image"]
        grade = cells.get("grade", "")
        if grade:
            classes.require([grade], f"{where}, grade")
            used.add(grade)
            mapped = classes.grade(grade)
            if mapped is None:
                skips.append(Skip(path, f"class {grade} is left out"))
                continue
            cells["grade"] = mapped
        for name in [name for name in cells if VOTE_COLUMN.fullmatch(name) and cells[name]]:
            classes.require([cells[name]], f"{where}, {name}")
            used.add(cells[name])
            vote = classes.grade(cells[name])
            ignored_votes += vote is None
            cells[name] = vote or ""
        images.append((path, cells))
        numbers.append(number)
    # Trucks that are not told are found later, from the images.
    told = [{**cells, "truck": tidied(cells.get("truck", "")) or "unknown"} for _, cells in images]
    checked_rows(file, told, numbers)
    # Where it has been said what lies in which grade, that stands.
    named = {**known.classes, **classes.described(() if known.classes else used)}
    described = Description(**{**kept, "classes": named})
    found = Found(described.showing(area, shows), images, skips)
    if ignored_votes:
        found.notes.append(f"{ignored_votes} votes for classes that are left out do not count")
    return found


def column_names(options: Sequence[str]) -> dict[str, str]:
    """From texts like "truck=lorry" to {"lorry": "truck"}. Raises DataError for another form."""
    columns: dict[str, str] = {}
    for option in options:
        ours, equals, theirs = (part.strip() for part in option.partition("="))
        if not (ours and equals and theirs):
            raise DataError(f"--column {option!r}: write it as OURS=THEIRS, as in truck=lorry")
        if theirs in columns or ours in columns.values():
            raise DataError(f"--column {option!r}: {ours} or {theirs} is named twice; keep one")
        columns[theirs] = ours
    return columns


def _renamed(file: Path, names: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """The manifest's name of each column of the table."""
    unknown = next((theirs for theirs in columns if theirs not in names), None)
    if unknown is not None:
        raise DataError(f"{file}: no column {unknown!r}; there are {', '.join(names)}")
    renamed = {name: columns.get(name, name) for name in names}
    twice = next((n for n in renamed.values() if list(renamed.values()).count(n) > 1), None)
    if twice is not None:
        raise DataError(f"{file}: has a column {twice} already; rename it, or drop its --column")
    return renamed

"""Several labelled folders as one, so that splits are made over all of them together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.grades import Grade
from training.data.description import DESCRIPTION_NAME, Description
from training.data.manifest import VOTE_COLUMN, Manifest, checked_rows, manifest_file, tidied
from training.data.tables import Cells
from training.errors import DataError


def merge(folders: Sequence[Path], out: Path) -> Manifest:
    """Writes OUT/manifest.csv over the images of all folders, which stay where they are.

    Trucks are told apart by folder; stations and days are not, so that a day's scenery that two
    folders share still counts as one. Splits are left to be made anew. Experts are who dataset.json
    calls so: one name is one vote column, whatever columns it has in the folders, and a column
    without a name is somebody else in each folder. Beside folders with experts' votes, the grades
    of one without are the votes of one more expert, as labels are then made of votes alone.

    Raises DataError when the folders show different parts of the camera's frame or mean different
    things by a grade, one names two columns alike, or OUT has a manifest already; nothing is
    written then.
    """
    file = manifest_file(out)
    if file.exists():
        raise DataError(f"{file}: exists; choose another --out or delete it")
    manifests = [Manifest.read(folder) for folder in folders]
    names = [manifest.name for manifest in manifests]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two folders are called {twice}; rename one, it tells their trucks apart")
    found = {m.name: Description.read(m.folder) for m in manifests}
    votes = _votes(manifests, found)
    description = _common(manifests, found, votes)
    seen = {m.name: m.cells_seen_from(out) for m in manifests}
    cells = tuple(
        {**votes.placed(name, row), "truck": f"{name}/{tidied(row['truck'])}", "split": ""}
        for name, rows in seen.items()
        for row in rows
    )
    of_all = (votes.place(m.name, column) for m in manifests for column in m.columns)
    columns = tuple(dict.fromkeys((*of_all, "split", *votes.graders.values())))
    owners: dict[str, str] = {}
    for name, rows in seen.items():
        for row in rows:
            if (owner := owners.setdefault(row["image"], name)) != name:
                raise DataError(f"{row['image']}: is in {owner} and in {name}; leave one out")
    merged = Manifest(file, columns, cells, checked_rows(file, cells))
    out.mkdir(parents=True, exist_ok=True)
    description.write(out)
    merged.write()
    return merged


_MADE: Final = re.compile(r"(vote_\d+|the grades) of ")


@dataclass(frozen=True)
class _Votes:
    """Which vote column of the merged manifest is whose.

    columns: by folder, those of its vote columns that get another name. graders: by folder without
    votes, the column that its grades are to fill. experts: by merged column, where they have names.
    """

    columns: Mapping[str, Mapping[str, str]]
    graders: Mapping[str, str]
    experts: Mapping[str, str]

    def place(self, folder: str, column: str) -> str:
        """What a folder's column is called in the merged manifest."""
        return self.columns.get(folder, {}).get(column, column)

    def placed(self, folder: str, row: Cells) -> Cells:
        """A folder's row with the merged manifest's vote columns."""
        cells = {self.place(folder, column): cell for column, cell in row.items()}
        grader = self.graders.get(folder)
        return cells if grader is None else {**cells, grader: row.get("grade", "")}


def _votes(manifests: Sequence[Manifest], found: Mapping[str, Description]) -> _Votes:
    """Raises DataError where a folder has two columns of one expert."""
    voted = [m for m in manifests if any(row.votes for row in m.rows)]
    silent = [m.name for m in manifests if voted and not any(row.votes for row in m.rows)]
    used = {m.name: _vote_columns(m, found[m.name]) for m in manifests}
    last = max((_number(column) for columns in used.values() for column in columns), default=0)
    columns: dict[str, dict[str, str]] = {}
    experts: dict[str, str] = {}
    for m in voted or manifests:
        named = found[m.name].experts
        if len(voted or manifests) == 1:  # nobody to be taken for somebody else
            experts = dict(named)
            break
        places = columns.setdefault(m.name, {})
        for column in used[m.name]:
            name = named.get(column, f"{column} of {m.name}")
            if column in named and _MADE.match(name):  # by an earlier merge: nobody's name
                name = f"{name}, {m.name}"
            place = next((c for c, known in experts.items() if known == name), None)
            if place in places.values():
                raise DataError(
                    f"{m.folder / DESCRIPTION_NAME}: {name} has two vote columns; name another "
                    "expert for one of them"
                )
            if place is None:
                last += column in experts
                place = f"vote_{last}" if column in experts else column
            places[column] = place
            experts[place] = name
    graders = {name: f"vote_{last + k}" for k, name in enumerate(silent, start=1)}
    graded = {column: f"the grades of {folder}" for folder, column in graders.items()}
    return _Votes(columns, graders, {**experts, **graded})


def _vote_columns(manifest: Manifest, description: Description) -> list[str]:
    columns = dict.fromkeys((*manifest.columns, *description.experts))
    return [column for column in columns if VOTE_COLUMN.fullmatch(column)]


def _number(column: str) -> int:
    return int(column.removeprefix("vote_"))


def _common(
    manifests: Sequence[Manifest], found: Mapping[str, Description], votes: _Votes
) -> Description:
    """What holds for all folders. Raises DataError where they contradict one another."""
    where = {m.name: m.folder for m in manifests}
    names: dict[str, tuple[Grade, Path]] = {}
    for folder, description in found.items():
        for name, grade in description.classes.items():
            before, first_folder = names.setdefault(name, (grade, where[folder]))
            if before is not grade:
                raise DataError(
                    f"{where[folder]}: {name} is {grade} there, and {before} in {first_folder}; "
                    "import one of them again with another --class-map"
                )
    voted = {folder: d for folder, d in found.items() if folder not in votes.graders}
    # What all call grades may have other names in some.
    alike = all(description.is_of_grades for description in found.values())
    for name in ("graded_area", "shows", "classes", "label_method"):
        if name == "classes" and alike:
            continue
        of = voted if name == "label_method" else found
        first, wanted = next((folder, getattr(d, name)) for folder, d in of.items())
        for folder, other in of.items():
            if getattr(other, name) != wanted:
                raise DataError(
                    f"{where[folder]} has {name} {getattr(other, name)} in dataset.json, "
                    f"{where[first]} {wanted}; merge only folders that agree in it"
                )
    of_votes = next(iter(voted.values()))
    return Description(
        graded_area=of_votes.graded_area,
        shows=of_votes.shows,
        classes={name: grade for name, (grade, _) in names.items()},
        experts=dict(votes.experts),
        label_method=of_votes.label_method,
    )

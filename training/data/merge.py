"""Several labelled folders as one, so that splits are made over all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_agent.grades import Grade
from training.data.description import Description
from training.data.manifest import VOTE_COLUMN, Manifest, checked_rows, manifest_file
from training.errors import DataError


def merge(folders: Sequence[Path], out: Path) -> Manifest:
    """Writes OUT/manifest.csv over the images of all folders, which stay where they are.

    Trucks are told apart by folder; stations and days are not, so that a day's scenery that two
    folders share still counts as one. Splits are left to be made anew. Beside folders with experts'
    votes, the grades of one without are the votes of one more expert, as labels are then made of
    votes alone. Raises DataError when the folders show different parts of the camera's frame, mean
    different things by a grade or by a vote column, or OUT has a manifest already; nothing is
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
    graders = _graders(manifests)
    description = _common(manifests, graders)
    seen = {m.name: m.cells_seen_from(out) for m in manifests}
    cells = tuple(
        {
            **row,
            **({graders[name]: row.get("grade", "")} if name in graders else {}),
            "truck": f"{name}/{row['truck']}",
            "split": "",
        }
        for name, rows in seen.items()
        for row in rows
    )
    columns = tuple(
        dict.fromkeys((*(c for m in manifests for c in m.columns), "split", *graders.values()))
    )
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


def _graders(manifests: Sequence[Manifest]) -> dict[str, str]:
    """By folder, the vote column that its grades are to fill; of folders without votes among others
    with some."""
    silent = [m.name for m in manifests if not any(row.votes for row in m.rows)]
    if len(silent) == len(manifests):
        return {}
    columns = [c for m in manifests for c in m.columns if VOTE_COLUMN.fullmatch(c)]
    last = max(int(column.removeprefix("vote_")) for column in columns)
    return {name: f"vote_{last + place}" for place, name in enumerate(silent, start=1)}


def _common(manifests: Sequence[Manifest], graders: Mapping[str, str]) -> Description:
    """What holds for all folders. Raises DataError where they contradict one another."""
    found = {m.folder: Description.read(m.folder) for m in manifests}
    voted = {m.folder: found[m.folder] for m in manifests if m.name not in graders}
    names: dict[str, Grade] = {}
    for folder, description in found.items():
        for name, grade in description.classes.items():
            if names.setdefault(name, grade) is not grade:
                raise DataError(f"{folder}: {name} is {grade} there, and {names[name]} elsewhere")
    # What all call grades may have other names in some.
    alike = all(description.is_of_grades for description in found.values())
    for name in ("graded_area", "shows", "classes", "experts", "label_method"):
        if name == "classes" and alike:
            continue
        of = voted if name in ("experts", "label_method") else found
        first, wanted = next((folder, getattr(d, name)) for folder, d in of.items())
        for folder, other in of.items():
            if getattr(other, name) != wanted:
                raise DataError(
                    f"{folder} has {name} {getattr(other, name)} in dataset.json, {first} "
                    f"{wanted}; merge only folders that agree in it"
                )
    of_votes = next(iter(voted.values()))
    graded = {column: f"the grades of {folder}" for folder, column in graders.items()}
    return Description(
        graded_area=of_votes.graded_area,
        shows=of_votes.shows,
        classes=names,
        experts={**of_votes.experts, **graded},
        label_method=of_votes.label_method,
    )

"""Labelled images as they come: a manifest, or just a folder with a sub-folder for each grade."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from edge_agent.grades import Grade
from training.data import tables
from training.data.dataset import Dataset
from training.data.description import DESCRIPTION_NAME, Area, Shows
from training.data.importing import folder, target
from training.data.importing.classes import ClassMap
from training.data.labels import AGREEMENT, LabelSource, label
from training.data.manifest import MANIFEST_NAME, MANIFEST_NAMES, missing_columns, seen_from
from training.errors import DataError


class Listener(Protocol):
    """Whoever wants to know what is found."""

    def say(self, text: str) -> None:
        """A line for people."""


def open_labelled(
    path: Path,
    listener: Listener,
    *,
    agreement: float = AGREEMENT,
    source: LabelSource | None = None,
    classes: Sequence[str] = (),
    trained_on: Mapping[str, str] | None = None,
    pattern: re.Pattern[str] | None = None,
    area: Area | None = None,
    shows: Shows | None = None,
    options: str = "--class-map, --truck-pattern, --graded-area and --shows",
) -> Dataset:
    """A manifest's file, a folder with one, or an ImageFolder. Writes nothing. Raises DataError.

    agreement, source: see `Dataset.open`. classes, pattern, area, shows: for an ImageFolder, as
    `cane-train data import folder` takes them; a manifest needs none of them and refuses them.
    trained_on: the grade of each class name, where `classes` says nothing. options: by which a
    command takes them.
    """
    if not path.is_dir() or _has_manifest(path, listener):
        if classes or pattern or area or shows:
            raise DataError(
                f"{path}: has a manifest, which says class and truck of each image, and "
                f"{DESCRIPTION_NAME} beside it what they show; leave {options} out"
            )
        return Dataset.open(path, agreement=agreement, source=source)
    if source == "votes":
        raise DataError(f"{path}: has no manifest, hence no votes; leave --labels votes out")
    if (path / DESCRIPTION_NAME).exists():
        listener.say(f"{path / DESCRIPTION_NAME}: not read, it needs a manifest beside it")
    names = ClassMap.parse(classes)
    if not classes and trained_on:
        names = ClassMap({name: Grade(grade) for name, grade in trained_on.items()})
        told = ", ".join(f"{name}={grade}" for name, grade in trained_on.items())
        listener.say(f"classes as in the data the model was trained on: {told}")
    found = folder.find(path, names, pattern=pattern, area=area, shows=shows)
    spoken_of = [path / name for name in (*MANIFEST_NAMES, DESCRIPTION_NAME)]
    found.skips = [skip for skip in found.skips if skip.path not in spoken_of]
    # The importer finds out which images can be read and which show the same truck.
    chosen = target.usable(found)
    images = [seen_from(path, image) for image, _ in chosen.images]
    manifest = chosen.manifest(path / MANIFEST_NAME, images)
    for line in chosen.summary(path):
        listener.say(line)
    labels = label(manifest.rows, source="truth")
    return Dataset(manifest, labels, described=chosen.description, skips=chosen.skips)


def _has_manifest(path: Path, listener: Listener) -> bool:
    """Is there a manifest of ours in a folder? Says so where there is only somebody else's."""
    tables_there = [path / name for name in MANIFEST_NAMES if (path / name).exists()]
    missing = {file: missing_columns(tables.columns_of(file)) for file in tables_there}
    if not all(missing.values()):
        return True
    for file, names in missing.items():
        listener.say(
            f"{file}: has no column {', '.join(names)}, so it is no manifest of cane-train; "
            f"{path} is read as a folder of classes"
        )
    return False

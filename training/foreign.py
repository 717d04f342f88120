"""Labelled images as they come: a manifest, or just a folder with a sub-folder for each grade."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from training.data.dataset import Dataset
from training.data.importing import folder, target
from training.data.importing.classes import ClassMap
from training.data.labels import LabelSource, label
from training.data.manifest import Manifest, manifest_file
from training.errors import DataError


class Listener(Protocol):
    """Whoever wants to know what is found."""

    def say(self, text: str) -> None:
        """A line for people."""


def open_labelled(
    path: Path,
    listener: Listener,
    *,
    agreement: float = 0.6,
    source: LabelSource | None = None,
    classes: Sequence[str] = (),
    pattern: re.Pattern[str] | None = None,
) -> Dataset:
    """A manifest's file, a folder with one, or an ImageFolder. Writes nothing. Raises DataError.

    agreement, source: see `Dataset.open`. classes, pattern: for an ImageFolder, as `cane-train data
    import folder` takes them; a manifest needs neither and refuses them.
    """
    if not path.is_dir() or manifest_file(path).exists():
        if classes or pattern:
            raise DataError(
                f"{path}: has a manifest, which says class and truck of each image; "
                "leave --class-map and --truck-pattern out"
            )
        return Dataset.open(path, agreement=agreement, source=source)
    if source == "votes":
        raise DataError(f"{path}: has no manifest, hence no votes; leave --labels votes out")
    found = folder.find(path, ClassMap.parse(classes), pattern=pattern)
    with TemporaryDirectory() as temporary:
        # The importer finds out which images can be read and which show the same truck.
        imported = target.write(found, Path(temporary))
        manifest = _moved(imported.manifest, path)
    for line in target.summary(replace(imported, manifest=manifest)):
        listener.say(line)
    for skip in imported.skips[:1]:
        listener.say(f"the first of those left out: {skip.path}: {skip.reason}")
    return Dataset(manifest, label(manifest.rows, source="truth"))


def _moved(manifest: Manifest, to: Path) -> Manifest:
    """The same images as seen from another folder."""
    names = [Path(os.path.relpath(image, to)).as_posix() for image in manifest.images]
    return replace(
        manifest,
        path=to / manifest.path.name,
        cells=tuple({**c, "image": n} for c, n in zip(manifest.cells, names, strict=True)),
        rows=tuple(
            row.model_copy(update={"image": n}) for row, n in zip(manifest.rows, names, strict=True)
        ),
    )

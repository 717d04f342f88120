"""Several labelled folders as one, so that splits are made over all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.data.description import Description
from training.data.manifest import MANIFEST_NAME, Manifest, manifest_file
from training.errors import DataError


def merge(folders: Sequence[Path], out: Path) -> Manifest:
    """Writes OUT/manifest.csv over the images of all folders, which stay where they are.

    Trucks are told apart by folder; stations and days are not, so that a day's scenery that two
    folders share still counts as one. Splits are left to be made anew. Raises DataError when the
    folders show different parts of the camera's frame, mean different things by a grade or by a
    vote column, or OUT has a manifest already.
    """
    if manifest_file(out).exists():
        raise DataError(f"{manifest_file(out)}: exists; choose another --out or delete it")
    manifests = [Manifest.read(folder) for folder in folders]
    names = [manifest.name for manifest in manifests]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two folders are called {twice}; rename one, it tells their trucks apart")
    description = _common(folders, [Description.read(m.folder) for m in manifests])
    out.mkdir(parents=True, exist_ok=True)
    columns = tuple(dict.fromkeys(column for m in manifests for column in (*m.columns, "split")))
    cells = tuple(
        {
            **row,
            "truck": f"{manifest.name}/{row['truck']}",
            "split": "",
        }
        for manifest in manifests
        for row in manifest.cells_seen_from(out)
    )
    description.write(out)
    merged = Manifest(out / MANIFEST_NAME, columns, cells, ())
    merged.write()
    return Manifest.read(out)


def _common(folders: Sequence[Path], descriptions: Sequence[Description]) -> Description:
    """What holds for all folders. Raises DataError where they contradict one another."""
    first = descriptions[0]
    for folder, other in zip(folders, descriptions, strict=True):
        for name in ("graded_area", "shows", "classes", "experts", "label_method"):
            if getattr(other, name) != getattr(first, name):
                raise DataError(
                    f"{folder} has {name} {getattr(other, name)} in dataset.json, {folders[0]} "
                    f"{getattr(first, name)}; merge only folders that agree in it"
                )
    return Description(
        graded_area=first.graded_area,
        shows=first.shows,
        classes=first.classes,
        experts=first.experts,
        label_method=first.label_method,
    )

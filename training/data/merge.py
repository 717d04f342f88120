"""Several labelled folders as one, so that splits are made over all of them together."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data.manifest import MANIFEST_NAME, Manifest
from training.errors import DataError

DESCRIPTION_NAME = "dataset.json"


def merge(folders: Sequence[Path], out: Path) -> Manifest:
    """Writes OUT/manifest.csv over the images of all folders, which stay where they are.

    Trucks are told apart by folder; stations and days are not, so that a day's scenery that two
    folders share still counts as one. Splits are left to be made anew. Raises DataError when the
    folders show different parts of the camera's frame, or OUT has a manifest already.
    """
    if (out / MANIFEST_NAME).exists():
        raise DataError(f"{out / MANIFEST_NAME}: exists; choose another --out or delete it")
    manifests = [Manifest.read(folder) for folder in folders]
    names = [manifest.name for manifest in manifests]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two folders are called {twice}; rename one, it tells their trucks apart")
    areas = [described(manifest.folder).get("graded_area") for manifest in manifests]
    odd = next((i for i, area in enumerate(areas) if area != areas[0]), None)
    if odd is not None:
        raise DataError(
            f"{folders[odd]} shows the part {areas[odd]} of the frame, {folders[0]} {areas[0]}; "
            "merge only folders that show the same"
        )
    out.mkdir(parents=True, exist_ok=True)
    columns = tuple(dict.fromkeys(column for m in manifests for column in (*m.columns, "split")))
    cells = tuple(
        {
            **row,
            "image": os.path.relpath(manifest.folder / row["image"], out),
            "truck": f"{manifest.name}/{row['truck']}",
            "split": "",
        }
        for manifest in manifests
        for row in manifest.cells
    )
    if areas[0] is not None:
        (out / DESCRIPTION_NAME).write_text(json.dumps({"graded_area": areas[0]}) + "\n", "utf-8")
    merged = Manifest(out / MANIFEST_NAME, columns, cells, ())
    merged.write()
    return Manifest.read(out)


def described(folder: Path) -> dict[str, Any]:
    """The content of dataset.json in a folder; empty where there is none. Raises DataError."""
    file = folder / DESCRIPTION_NAME
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable ({error}); make it again") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: not a JSON object; make it again")
    return content

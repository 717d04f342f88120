"""The folder an import writes: a manifest over readable images, and a list of what was left out."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from training.data import fingerprints, tables
from training.data.check import duplicate_pairs
from training.data.description import Description
from training.data.images import Skip
from training.data.manifest import REQUIRED, Manifest, checked_rows, manifest_file
from training.errors import DataError

SKIPPED_NAME: Final = "skipped.csv"

_COLUMNS: Final = (*REQUIRED, "camera", "station", "region", "split", "grade")


@dataclass
class Found:
    """What a source holds.

    images: image files, each with the cells of its row; the cell "image" is filled on writing. A
        row without "truck" gets one from its near-duplicates.
    skips: what the source itself leaves out.
    notes: lines for people on what was done.
    description: what becomes dataset.json.
    """

    description: Description
    images: list[tuple[Path, tables.Cells]] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Imported:
    """What was written, what was left out, and lines for people."""

    manifest: Manifest
    skips: tuple[Skip, ...]
    notes: tuple[str, ...]


def write(
    found: Found,
    out: Path,
    *,
    kind: Literal["csv", "parquet"] = "csv",
    copy: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> Imported:
    """Writes the manifest, dataset.json and, if anything was left out, skipped.csv to OUT.

    Every image is decoded once; those that cannot be are left out and listed. With `copy` the
    images are copied to OUT/images, else they stay where they are. Raises DataError when OUT has a
    manifest already, a row is wrong or no image is left.
    """
    file = manifest_file(out)
    if file.exists():
        raise DataError(f"{file}: exists; choose another --out or delete it")
    taken = fingerprints.take([path for path, _ in found.images], on_image=on_image)
    skips = [*found.skips, *(one for one in taken if isinstance(one, Skip))]
    kept = [
        (path, cells, one)
        for (path, cells), one in zip(found.images, taken, strict=True)
        if not isinstance(one, Skip)
    ]
    if not kept:
        first = f"; the first: {skips[0].path}: {skips[0].reason}" if skips else ""
        raise DataError(f"no readable image to import{first}; check the paths")
    notes = list(found.notes)
    clusters = _clusters([one for *_, one in kept])
    rows = [
        {**cells, "truck": cells.get("truck") or f"alike-{cluster:06d}"}
        for (_, cells, _), cluster in zip(kept, clusters, strict=True)
    ]
    unknown = sum(not cells.get("truck") for _, cells, _ in kept)
    if unknown:
        notes.append(
            f"{unknown} images do not say their truck: each of {len(set(clusters))} clusters of "
            "near-duplicates counts as one, so views of a truck that look different may end up in "
            "two splits"
        )
    out.mkdir(parents=True, exist_ok=True)
    paths = [path for path, *_ in kept]
    names = _copied(paths, out) if copy else [os.path.relpath(path, out) for path in paths]
    rows = [{**row, "image": Path(name).as_posix()} for row, name in zip(rows, names, strict=True)]
    columns = tuple(dict.fromkeys((*_COLUMNS, *(name for row in rows for name in row))))
    cells = tuple({name: row.get(name, "") for name in columns} for row in rows)
    checked = checked_rows(out / f"manifest.{kind}", cells)
    if skips:
        listed = tuple({"file": str(skip.path), "reason": skip.reason} for skip in skips)
        tables.write(out / SKIPPED_NAME, ("file", "reason"), listed)
    found.description.write(out)
    # The manifest comes last: a folder without one holds no data yet.
    manifest = Manifest(out / f"manifest.{kind}", columns, cells, checked)
    manifest.write()
    return Imported(manifest, tuple(skips), tuple(notes))


def summary(imported: Imported) -> list[str]:
    """Lines on what was written and what was not, for people."""
    manifest = imported.manifest
    trucks = len({row.truck for row in manifest.rows})
    lines = [f"{manifest.path}: {len(manifest.rows)} images of {trucks} trucks"]
    if imported.skips:
        lines.append(f"left out: {len(imported.skips)}, listed in {SKIPPED_NAME}")
        reasons = Counter(skip.reason for skip in imported.skips)
        lines += [f"  {count} x {reason}" for reason, count in reasons.most_common(10)]
        if len(reasons) > 10:
            lines.append(f"  and {len(reasons) - 10} further reasons")
    return [*lines, *imported.notes]


def _clusters(taken: Sequence[fingerprints.Fingerprint]) -> list[int]:
    """A number for each image; what hangs together by near-duplicates has the same."""
    pairs = [(i, j) for i, j, _ in duplicate_pairs(taken)]
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    shape = (len(taken), len(taken))
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=shape)
    return [int(number) for number in connected_components(graph, directed=False)[1]]


def _copied(paths: Sequence[Path], out: Path) -> list[str]:
    """Copies the images to OUT/images, under their paths below their common folder."""
    root = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    names = []
    for path in paths:
        name = Path("images") / path.resolve().relative_to(root)
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, out / name)
        except OSError as error:
            raise DataError(
                f"{path}: cannot be copied to {out / name} ({error.strerror}); free space there"
            ) from error
        names.append(name.as_posix())
    return names

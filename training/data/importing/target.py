"""The folder an import writes: a manifest over readable images, and a list of what was left out."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from training.data import fingerprints, tables
from training.data.check import duplicate_pairs
from training.data.connected import components
from training.data.description import Description
from training.data.images import Skip
from training.data.manifest import (
    GUESSED_TRUCK,
    REQUIRED,
    Manifest,
    checked_rows,
    manifest_file,
    seen_from,
    tidied,
)
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
class Usable:
    """What of a source can be used.

    images: readable image files, each with the cells of its row, in which "truck" is filled.
    description, skips, notes: see `Found`.
    """

    description: Description
    images: tuple[tuple[Path, tables.Cells], ...]
    skips: tuple[Skip, ...]
    notes: tuple[str, ...]

    def manifest(self, file: Path, names: Sequence[str]) -> Manifest:
        """The manifest over the images, which has these names for them. Writes nothing.

        Raises DataError when a row is wrong.
        """
        rows = [
            {**cells, "image": name} for (_, cells), name in zip(self.images, names, strict=True)
        ]
        columns = tuple(dict.fromkeys((*_COLUMNS, *(name for row in rows for name in row))))
        cells = tuple({name: row.get(name, "") for name in columns} for row in rows)
        return Manifest(file, columns, cells, checked_rows(file, cells))

    def summary(self, where: Path, *, listed_in: str | None = None) -> list[str]:
        """Lines on what became of the source, for people.

        where: what now tells of the images. listed_in: the file that lists what was left out, if
        there is one.
        """
        trucks = len({cells["truck"] for _, cells in self.images})
        lines = [f"{where}: {len(self.images)} images of {trucks} trucks"]
        if self.skips:
            listed = f", listed in {listed_in}" if listed_in else ""
            lines.append(f"left out: {len(self.skips)}{listed}")
            reasons = Counter(skip.reason for skip in self.skips)
            lines += [f"  {count} x {reason}" for reason, count in reasons.most_common(10)]
            if len(reasons) > 10:
                lines.append(f"  and {len(reasons) - 10} further reasons")
        return [*lines, *self.notes, *_what_is_seen(self.description)]


def usable(found: Found, *, on_image: Callable[[], None] = lambda: None) -> Usable:
    """Decodes every image once; those that cannot be are left out, and told.

    Raises DataError when no image is left.
    """
    taken = fingerprints.take([path for path, _ in found.images], on_image=on_image)
    skips = list(found.skips)
    kept: list[tuple[Path, tables.Cells, fingerprints.Fingerprint]] = []
    for (path, given), one in zip(found.images, taken, strict=True):
        cells = {**given, "truck": tidied(given.get("truck", ""))}
        if isinstance(one, Skip):
            skips.append(replace(one, split=cells.get("split")))
        else:
            kept.append((path, cells, one))
    if not kept:
        first = f"; the first: {skips[0].path}: {skips[0].reason}" if skips else ""
        raise DataError(f"no readable image to import{first}; check the paths")
    notes = list(found.notes)
    unknown = sum(not cells["truck"] for _, cells, _ in kept)
    clusters = [0] * len(kept)
    if unknown:
        pairs = [(i, j) for i, j, _ in duplicate_pairs([one for *_, one in kept])]
        clusters = components(len(kept), pairs).tolist()
        notes.append(
            f"{unknown} images do not say their truck: each of {len(set(clusters))} clusters of "
            "near-duplicates counts as one, so views of a truck that look different may end up in "
            "two splits"
        )
    rows = tuple(
        (path, {**cells, "truck": cells["truck"] or f"{GUESSED_TRUCK}{cluster:06d}"})
        for (path, cells, _), cluster in zip(kept, clusters, strict=True)
    )
    present = {cells["grade"] for _, cells in rows if cells.get("grade")}
    missing = [grade for grade in found.description.grades_in_use if grade not in present]
    if present and missing:  # where no row has a grade the labels are votes, or still to come
        notes.append(f"warning: no readable image of {', '.join(missing)}")
    return Usable(found.description, rows, tuple(skips), tuple(notes))


def write(
    found: Found,
    out: Path,
    *,
    kind: Literal["csv", "parquet"] = "csv",
    copy: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> list[str]:
    """Writes the manifest, dataset.json and, if anything was left out, skipped.csv to OUT.

    Every image is decoded once; those that cannot be are left out and listed. With `copy` the
    images are copied to OUT/images, else they stay where they are. Returns lines for people on what
    was written and what was not. Raises DataError when OUT has a manifest already, a row is wrong
    or no image is left.
    """
    file = manifest_file(out)
    if file.exists():
        raise DataError(f"{file}: exists; choose another --out or delete it")
    chosen = usable(found, on_image=on_image)
    out.mkdir(parents=True, exist_ok=True)
    paths = [path for path, _ in chosen.images]
    names = _copied(paths, out) if copy else [seen_from(out, path) for path in paths]
    manifest = chosen.manifest(out / f"manifest.{kind}", names)
    if chosen.skips:
        listed = tuple({"file": str(skip.path), "reason": skip.reason} for skip in chosen.skips)
        tables.write(out / SKIPPED_NAME, ("file", "reason"), listed)
    found.description.write(out)
    # The manifest comes last: a folder without one holds no data yet.
    manifest.write()
    return chosen.summary(manifest.path, listed_in=SKIPPED_NAME)


def _what_is_seen(description: Description) -> list[str]:
    """A line on what part of a frame the images show, where anything was said of that."""
    area = description.graded_area
    if area is None:
        return (
            ["whole frames; which part of them is graded is not known: say it with --graded-area"]
            if description.shows == "frame"
            else []
        )
    edges = ",".join(f"{edge:g}" for edge in area)
    if description.shows == "frame":
        return [f"whole frames; reading cuts the graded area {edges} out of them"]
    return [f"taken to show the graded area {edges} and no more; for whole frames: --shows frame"]


def _copied(paths: Sequence[Path], out: Path) -> list[str]:
    """Copies the images to OUT/images, under their paths below their common folder."""
    # Folders that are links count as what they lead to; an image keeps its name even as a link.
    real = [path.parent.resolve() / path.name for path in paths]
    root = Path(os.path.commonpath([path.parent for path in real]))
    names = []
    for path in real:
        name = Path("images") / path.relative_to(root)
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, out / name)
        except OSError as error:
            raise DataError(
                f"{path}: cannot be copied to {out / name} ({error.strerror}); free space there"
            ) from error
        names.append(name.as_posix())
    return names

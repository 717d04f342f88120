"""Labelled data on disk, and one split of it in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES, Grade
from training.data import images, splits
from training.data.description import Area, Description, Grouping, LabelMethod
from training.data.images import Skip
from training.data.labels import AGREEMENT, Labels, LabelSource, label
from training.data.manifest import Manifest, Row, Split
from training.digest import sha256
from training.errors import DataError


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels, in memory.

    images: uint8 RGB (n, size, size, 3).
    labels: class indices (n,), in the order of `edge_agent.grades.GRADES`.
    rows: their manifest rows.
    skips: images that could not be read.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    rows: tuple[Row, ...]
    skips: tuple[Skip, ...]

    @property
    def told_of_skips(self) -> str | None:
        """A line on what was left out; None where nothing was."""
        return images.told(self.skips)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> ImageSet:
        rows = tuple(self.rows[i] for i in chosen)
        return ImageSet(self.images[chosen], self.labels[chosen], rows, ())


def evenly(among: int, count: int) -> npt.NDArray[np.int64]:
    """So many positions, or all where there are fewer, spread evenly over 0 to `among` - 1."""
    return np.linspace(0, among - 1, min(count, among)).astype(np.int64)


@dataclass(frozen=True)
class Dataset:
    """A manifest with its labels. Pixels are read by `load`, one split at a time.

    described: instead of dataset.json, for a manifest that is not on disk.
    skips: what was left out before there was a manifest.
    """

    manifest: Manifest
    labels: Labels
    described: Description | None = None
    skips: tuple[Skip, ...] = ()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        agreement: float = AGREEMENT,
        source: LabelSource | None = None,
        method: LabelMethod | None = None,
    ) -> Dataset:
        """Reads a manifest and labels its rows. Raises DataError.

        method: how votes become labels; by default what dataset.json says, else by majority.
        """
        manifest = Manifest.read(path)
        chosen = method or Description.read(manifest.folder).label_method or "majority"
        labels = label(manifest.rows, agreement=agreement, source=source, method=chosen)
        return cls(manifest, labels)

    @property
    def description(self) -> Description:
        """What dataset.json beside the manifest says. Raises DataError when it is broken."""
        return self.described or Description.read(self.manifest.folder)

    @property
    def grouping(self) -> Grouping:
        """What splits keep together: dataset.json's choice, or trucks and days."""
        return self.description.grouping or "truck-and-day"

    def split(
        self,
        seed: int,
        *,
        grouping: Grouping | None = None,
        alike: splits.Pairs = (),
        again: bool = False,
    ) -> Dataset:
        """The dataset with leak-free splits: the manifest's own, checked, or new ones, written.

        grouping: what must stay together; by default what dataset.json says, else trucks and days.
            A choice made here is written there.
        alike: row numbers of near-duplicates, which new splits keep together too.
        again: makes new splits, whatever the manifest has.

        Raises DataError when the manifest's splits leak or are given for some rows only, or no
        leak-free ones can be made.
        """
        rows = self.manifest.rows
        chosen = grouping or self.grouping
        missing = len(rows) if again else sum(row.split is None for row in rows)
        if 0 < missing < len(rows):
            raise DataError(
                f"{self.manifest.path}: {missing} of {len(rows)} rows have no split; "
                "fill the column split for all rows or for none"
            )
        dataset = self
        try:
            if missing == 0:
                splits.check(rows, [row.split for row in rows], chosen)
            else:
                assigned = splits.assign(
                    rows, self.labels.grades, seed=seed, grouping=chosen, alike=alike
                )
                dataset = replace(self, manifest=self.manifest.with_splits(assigned))
        except DataError as error:
            raise DataError(f"{self.manifest.path}: {error}") from error
        if missing:
            dataset.manifest.write()
        if grouping is not None:
            described = self.description.model_copy(update={"grouping": grouping})
            described.write(self.manifest.folder)
        return dataset

    def load(
        self,
        split: Split | None,
        size: int,
        *,
        at_most: int | None = None,
        on_image: Callable[[], None] = lambda: None,
    ) -> ImageSet:
        """The labelled images of one split, or of all rows where `split` is None; `at_most` so many
        of them, spread evenly, of which no others are read.

        What was left out before there was a manifest counts as skipped here. Raises DataError when
        none is left.
        """
        chosen = [
            (row, grade)
            for row, grade in zip(self.manifest.rows, self.labels.grades, strict=True)
            if grade is not None and (split is None or row.split == split)
        ]
        if at_most is not None:
            chosen = [chosen[i] for i in evenly(len(chosen), at_most)]
        paths = [self.manifest.folder / row.image for row, _ in chosen]
        cut = self.description.cut
        pixels, kept, unreadable = images.load(paths, size, cut=cut, on_image=on_image)
        skips = [s for s in self.skips if split is None or s.split == split] + unreadable
        if not kept:
            fault = f"; the first: {skips[0].path}: {skips[0].reason}" if skips else ""
            raise DataError(
                f"{self.manifest.path}: no labelled, readable image in split {split or 'all'}"
                f"{fault}; check the image paths and the labels"
            )
        rows, grades = zip(*(chosen[i] for i in kept), strict=True)
        indices = np.array([GRADES.index(grade) for grade in grades], dtype=np.int64)
        return ImageSet(pixels, indices, rows, tuple(skips))

    def count(self, split: Split | None = None) -> int:
        """How many labelled rows a split has."""
        pairs = zip(self.manifest.rows, self.labels.grades, strict=True)
        return sum(g is not None and (split is None or r.split == split) for r, g in pairs)

    def counts(self) -> dict[Grade, int]:
        """How many rows carry each label."""
        return {grade: self.labels.grades.count(grade) for grade in GRADES}

    @cached_property
    def contents(self) -> tuple[str, ...]:
        """SHA-256 of every row's image file, in row order; of a missing one, of nothing."""
        nothing = hashlib.sha256(b"").hexdigest()
        files = self.manifest.images
        return tuple(sha256(file) if file.is_file() else nothing for file in files)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what a network learns from: every image's bytes, its label and its split,
        and what is cut out of the images, where something is.

        File names and further columns do not count, so that the same images made again elsewhere
        have the same digest. An image that cannot be read counts as empty.
        """
        rows = zip(self.contents, self.labels.grades, self.manifest.rows, strict=True)
        lines = [f"{content} {grade} {row.split}" for content, grade, row in rows]
        cut = self.description.cut
        if cut is not None:  # no line where nothing is cut: runs on such data are told by it
            lines.append(f"cut {cut}")
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    @property
    def graded_area(self) -> Area | None:
        """(left, top, right, bottom): the part of the camera's frame that a network sees.

        From dataset.json beside the manifest; None where that does not say.
        Raises DataError when dataset.json is broken.
        """
        return self.description.graded_area

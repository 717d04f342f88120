"""What is wrong with a labelled folder: unreadable, duplicate and leaking images, empty grades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.grades import GRADES, Grade
from training.data import fingerprints, splits
from training.data.agreement import fleiss_kappa
from training.data.dataset import Dataset
from training.data.description import Description, Grouping
from training.data.fingerprints import Fingerprint
from training.data.images import Skip
from training.data.labels import Labels
from training.data.manifest import SPLITS, Manifest, Split


@dataclass(frozen=True)
class Duplicate:
    """Two images of the manifest that show the same.

    bits: in how many of 256 bits their perceptual hashes differ; None for the very same pixels.
    splits, labels: where the two are, and what they are taken for.
    """

    first: str
    second: str
    bits: int | None
    splits: tuple[Split | None, Split | None]
    labels: tuple[Grade | None, Grade | None]

    @property
    def is_leak(self) -> bool:
        """Whether one half is learned from and the other measured on."""
        return None not in self.splits and self.splits[0] != self.splits[1]

    @property
    def contradicts(self) -> bool:
        """Whether the two have different labels, so that at most one is right."""
        return None not in self.labels and self.labels[0] != self.labels[1]

    def __str__(self) -> str:
        alike = "the same pixels" if self.bits is None else f"{self.bits} of 256 bits differ"
        return f"{self.first} and {self.second}: {alike}"


@dataclass(frozen=True)
class DataReport:
    """What `cane-train data check` found.

    skips: images that cannot be used, each with its reason.
    duplicates: pairs of images that show the same.
    counts: readable, labelled images by grade and split (None: no split assigned yet).
    kappa: Fleiss' kappa of the experts' votes; None where it is not defined.
    disputed: images whose experts did not agree; they are set aside, not dropped.
    undated: images without a capture time, which only their truck keeps in one split.
    largest_group: the share of images, 0..1, in the largest group that must stay together.
    apart: trucks and days in two splits that the grouping allows there.
    leaks: trucks and days in two splits that the grouping forbids there, a line each.
    unsplittable: why no splits can be made; None where they can, or are there.
    """

    manifest: Manifest
    labels: Labels
    description: Description
    grouping: Grouping
    skips: tuple[Skip, ...]
    duplicates: tuple[Duplicate, ...]
    counts: dict[Grade, Counter[str | None]]
    kappa: float | None
    disputed: tuple[str, ...]
    undated: int
    largest_group: float
    apart: dict[str, int]
    leaks: tuple[str, ...]
    unsplittable: str | None

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that must be mended before training, a line each."""
        images = [
            f"in {pair.splits[0]} and {pair.splits[1]}: {pair}"
            for pair in self.duplicates
            if pair.is_leak
        ]
        return (*self._unassigned(), *self.leaks, *images, *self._empty())

    def _unassigned(self) -> list[str]:
        rows = self.manifest.rows
        missing = sum(row.split is None for row in rows)
        if 0 < missing < len(rows):
            return [f"{missing} of {len(rows)} rows have no split"]
        return [self.unsplittable] if self.unsplittable else []

    def _empty(self) -> list[str]:
        """Grades without an image, in all or in one of the splits."""
        used = self.description.grades_in_use
        assigned = [s for s in SPLITS if any(counts[s] for counts in self.counts.values())]
        missing = [split for split in SPLITS if assigned and split not in assigned]
        faults = [f"no labelled, readable image is in the split {split}" for split in missing]
        for grade, counts in self.counts.items():
            if not counts.total() and grade in used:
                faults.append(f"grade {grade} has no labelled, readable image")
            elif counts.total():
                faults += [f"grade {grade} has no image in {s}" for s in assigned if not counts[s]]
        return faults


def check(
    dataset: Dataset,
    *,
    near_bits: int = fingerprints.NEAR_BITS,
    on_image: Callable[[], None] = lambda: None,
) -> DataReport:
    """Reads every image once and finds what is wrong. Raises DataError if nothing can be told.

    near_bits: images whose 256-bit perceptual hashes differ in no more bits are near-duplicates.
    """
    rows = dataset.manifest.rows
    grades = dataset.labels.grades
    found = fingerprints.take(dataset.manifest.images, on_image=on_image)
    given = [row.split for row in rows]
    duplicates = tuple(
        Duplicate(rows[i].image, rows[j].image, bits, (given[i], given[j]), (grades[i], grades[j]))
        for i, j, bits in duplicate_pairs(found, near_bits)
    )
    counts: dict[Grade, Counter[str | None]] = {grade: Counter() for grade in GRADES}
    for row, grade, result in zip(rows, grades, found, strict=True):
        if grade is not None and not isinstance(result, Skip):
            counts[grade][row.split] += 1
    days = [splits.day_of(row) for row in rows]
    grouping = dataset.grouping
    apart = {}
    if grouping == "station-day":
        apart["trucks"] = len(splits.in_two([row.truck for row in rows], given))
    if grouping == "truck" and any(days):
        apart["station days"] = len(splits.in_two(days, given))
    groups = splits.groups(rows, grouping)
    return DataReport(
        manifest=dataset.manifest,
        labels=dataset.labels,
        description=dataset.description,
        grouping=grouping,
        skips=tuple(result for result in found if isinstance(result, Skip)),
        duplicates=duplicates,
        counts=counts,
        kappa=fleiss_kappa([row.votes for row in rows]),
        disputed=tuple(
            row.image
            for row, grade in zip(rows, grades, strict=True)
            if row.votes and grade is None and dataset.labels.source == "votes"
        ),
        undated=days.count(None),
        largest_group=splits.largest_share(groups),
        apart=apart,
        leaks=tuple(splits.leaks(rows, given, grouping)),
        unsplittable=splits.cannot_split(groups, grouping) if not any(given) else None,
    )


def duplicate_pairs(
    found: Sequence[Fingerprint | Skip], near_bits: int = fingerprints.NEAR_BITS
) -> list[tuple[int, int, int | None]]:
    """Pairs of positions of images that show the same, with the bits in which they differ.

    None stands for the very same pixels: those are paired with the first of their kind only, which
    alone is compared further, so that a thousand black frames make a thousand pairs and not half a
    million. Images without a fingerprint are in no pair.
    """
    first: dict[str, int] = {}
    pairs: list[tuple[int, int, int | None]] = []
    for i, one in enumerate(found):
        if isinstance(one, Fingerprint) and first.setdefault(one.content, i) != i:
            pairs.append((first[one.content], i, None))
    kinds = list(first.values())
    hashes = [one.perceptual for one in (found[i] for i in kinds) if isinstance(one, Fingerprint)]
    if hashes:
        near = fingerprints.near_pairs(np.stack(hashes), near_bits)
        pairs += [(kinds[i], kinds[j], bits) for i, j, bits in near]
    return pairs

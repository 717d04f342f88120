"""Whether there are images of every grade in use to learn from, and any to be measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Protocol

from edge_agent.grades import GRADES, Grade
from training.data.dataset import Dataset, ImageSet
from training.data.images import MIN_SIDE, Skip, size_of
from training.data.manifest import Split
from training.errors import DataError

_LEARNED_FROM: Final[tuple[Split, Split]] = ("train", "val")


class Listener(Protocol):
    """Whoever wants to know what is found."""

    def say(self, text: str) -> None:
        """A line for people."""


def require_grades(
    dataset: Dataset, listener: Listener, loaded: Mapping[Split, ImageSet] | None = None
) -> None:
    """As `require_learnable`; raises DataError also where there is no test image to measure on when
    all is trained."""
    if not _any_readable(dataset, "test"):
        raise DataError(
            f"{dataset.manifest.path}: no labelled, readable image is in the test split, so "
            "nothing would tell how good the network is; split anew (cane-train data split --again)"
        )
    require_learnable(dataset, listener, loaded)


def require_learnable(
    dataset: Dataset, listener: Listener, loaded: Mapping[Split, ImageSet] | None = None
) -> None:
    """Warns of grades without a training or a validation image.

    loaded: splits whose images have been read, so that unreadable ones do not count; of other
    splits all labelled rows count. Raises DataError when a grade in use has no training image.
    """
    used = dataset.description.grades_in_use
    train, validation = (
        _counts(dataset, split, (loaded or {}).get(split)) for split in _LEARNED_FROM
    )
    unseen = [grade for grade in used if not train[grade]]
    if unseen:
        listener.say(f"warning: no training image of {', '.join(unseen)}")
    unmeasured = [grade for grade in used if not validation[grade]]
    if unmeasured:
        listener.say(f"warning: no validation image of {', '.join(unmeasured)}")
    unused = [grade for grade in GRADES if grade not in used and not train[grade]]
    if unused:
        listener.say(
            f"warning: no training image of {', '.join(unused)}, not named among the classes of "
            "dataset.json: the network is trained without"
        )
    if unseen:
        raise DataError(
            f"{dataset.manifest.path}: no labelled, readable training image of "
            f"{', '.join(unseen)}; add some, split anew (cane-train data split --again), or name "
            'only the grades that are used in dataset.json: "classes": {"NAME": "GRADE", ...}'
        )


def _any_readable(dataset: Dataset, split: Split) -> bool:
    """By the first that opens and is not too small: the split itself is not read."""
    rows = zip(dataset.manifest.rows, dataset.manifest.images, dataset.labels.grades, strict=True)
    files = (file for row, file, grade in rows if grade is not None and row.split == split)
    sizes = map(size_of, files)
    return any(not isinstance(size, Skip) and min(size) >= MIN_SIDE for size in sizes)


def _counts(dataset: Dataset, split: Split, loaded: ImageSet | None) -> Counter[Grade]:
    """How many images a split has of each grade."""
    if loaded is not None:
        return Counter(GRADES[index] for index in loaded.labels.tolist())
    pairs = zip(dataset.manifest.rows, dataset.labels.grades, strict=True)
    return Counter(grade for row, grade in pairs if grade is not None and row.split == split)

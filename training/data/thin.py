"""A labelled folder with fewer images of some grades, to study what scarcity costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_agent.grades import Grade
from training.data.dataset import Dataset
from training.data.manifest import MANIFEST_NAME, Manifest, Split, manifest_file
from training.errors import DataError

_LEARNED: Final[tuple[Split, ...]] = ("train",)


def thin(
    folder: Path,
    out: Path,
    shares: Mapping[Grade, float],
    *,
    seed: int,
    splits: Collection[Split] = _LEARNED,
) -> Manifest:
    """Writes OUT/manifest.csv over the images of `folder`, which stay where they are.

    shares: how much of a grade's labelled images to keep in each of `splits`, above 0 and at most
        1, drawn at random; all of those grades that are not named. Other splits keep every row, so
        that models of thinned folders are measured on the same images. The images of a split are
        drawn alike whatever other ones are thinned. dataset.json tells what was done.

    Raises DataError when `folder` has no splits, a share is none, a grade would be left with
    nothing, or OUT has a manifest already.
    """
    if manifest_file(out).exists():
        raise DataError(f"{manifest_file(out)}: exists; choose another --out or delete it")
    wrong = next((f"{g}={s:g}" for g, s in shares.items() if not 0 < s <= 1), None)
    if wrong is not None:
        raise DataError(f"--keep {wrong}: write a share above 0 and at most 1")
    dataset = Dataset.open(folder)
    manifest = dataset.manifest
    if any(row.split is None for row in manifest.rows):
        raise DataError(f"{manifest.path}: has rows without a split; run cane-train data split")
    left_out = {
        i
        for split in splits
        for grade, share in shares.items()
        for i in _drawn(dataset, split, grade, share, seed)
    }
    out.mkdir(parents=True, exist_ok=True)
    cells = tuple(row for i, row in enumerate(manifest.cells_seen_from(out)) if i not in left_out)
    kept = {grade.value: share for grade, share in shares.items()}
    told: dict[str, Any] = {"from": manifest.name, "seed": seed, "kept": kept}
    if set(splits) != {"train"}:
        told["splits"] = sorted(splits)
    dataset.description.model_copy(update={"thinned": told}).write(out)
    Manifest(out / MANIFEST_NAME, manifest.columns, cells, ()).write()
    return Manifest.read(out)


def _drawn(dataset: Dataset, split: Split, grade: Grade, share: float, seed: int) -> list[int]:
    """Row numbers of one grade's images of a split that are left out."""
    rows = dataset.manifest.rows
    chosen = [
        i
        for i, (row, label) in enumerate(zip(rows, dataset.labels.grades, strict=True))
        if row.split == split and label is grade
    ]
    kept = round(share * len(chosen))
    if kept == 0:
        raise DataError(
            f"--keep {grade}={share:g}: {len(chosen)} images in {split}, none would be left; "
            "keep a larger share"
        )
    # By name, so that the order of the manifest's rows does not matter.
    chosen.sort(key=lambda i: rows[i].image)
    order = np.random.default_rng([seed, list(Grade).index(grade)]).permutation(len(chosen))
    return [chosen[i] for i in order[kept:]]

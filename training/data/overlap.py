"""Do two datasets share images, or a dataset and a model, or two splits?

By content, as a simulator names the trucks of every set alike, and byte by byte: a copy that was
written anew, in another size or format, is not noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from training.data.dataset import Dataset, ImageSet
from training.data.manifest import Manifest, Split
from training.errors import DataError, RunError
from training.provenance import sha256

LEARNED_NAME: Final = "learned_from.txt"


def require_disjoint(data: Path, beside: Path) -> None:
    """Raises DataError where a file of the second dataset is one of the first's. Files that are
    missing are passed over."""
    known = {sha256(image): image for image in Manifest.read(data).images if image.is_file()}
    for image in Manifest.read(beside).images:
        if image.is_file() and (twin := known.get(sha256(image))):
            raise DataError(
                f"{image}: is {twin} of {data}; take other images, such as those rendered with "
                "another --seed"
            )


def remember(dataset: Dataset, sets: Sequence[ImageSet], folder: Path) -> None:
    """Writes FOLDER/LEARNED_NAME: the SHA-256 of the file of each of these images, a line each."""
    chosen = {row.image for images in sets for row in images.rows}
    rows = zip(dataset.contents, dataset.manifest.rows, strict=True)
    known = {content for content, row in rows if row.image in chosen}
    temporary = folder / f".{LEARNED_NAME}.new"
    temporary.write_text("".join(f"{content}\n" for content in sorted(known)), "ascii")
    temporary.replace(folder / LEARNED_NAME)


def learned(dataset: Dataset, split: Split | None, folder: Path) -> int | None:
    """How many images of a split, of all where it is None, the model in this folder was trained or
    calibrated on. None where that is not written there. Raises RunError."""
    file = folder / LEARNED_NAME
    if not file.exists():
        return None
    try:
        known = set(file.read_text("ascii").split())
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: not readable ({error}); delete it, or train again") from error
    rows = zip(dataset.contents, dataset.manifest.rows, strict=True)
    return sum(content in known for content, row in rows if split in (None, row.split))


def copies_apart(dataset: Dataset) -> list[tuple[str, str]]:
    """Pairs of images in two splits whose files are the same, and neither missing nor empty."""
    first: dict[str, int] = {}
    rows, nothing = dataset.manifest.rows, hashlib.sha256().hexdigest()
    pairs = []
    for i, content in enumerate(dataset.contents):
        twin = first.setdefault(content, i)
        if rows[twin].split != rows[i].split and content != nothing:
            pairs.append((rows[twin].image, rows[i].image))
    return pairs

"""Do two datasets share images, or two splits of one?

By content, as a simulator names the trucks of every set alike, and byte by byte: a copy that was
written anew, in another size or format, is not noticed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from training.data.dataset import Dataset
from training.data.manifest import Manifest
from training.digest import sha256
from training.errors import DataError


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

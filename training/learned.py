"""Which images a model has learned from: told by their content, wherever copies of them lie."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from training.data.dataset import Dataset
from training.data.manifest import Split
from training.digest import sha256
from training.errors import RunError
from training.outputs import whole

LEARNED_NAME: Final = "learned_from.txt"


def remember(files: Iterable[Path], folder: Path, *, before: Collection[str] = ()) -> None:
    """Writes FOLDER/LEARNED_NAME: the SHA-256 of each of these images, a line each, and what the
    model that training began with has learned from."""
    known = {sha256(file) for file in files}.union(before)
    with whole(folder / LEARNED_NAME) as file:
        file.write_text("".join(f"{content}\n" for content in sorted(known)), "ascii")


def learned(dataset: Dataset, split: Split | None, known: Collection[str] | None) -> int | None:
    """How many images of a split, of all where it is None, are among those `known_to` a model; None
    where these are."""
    if known is None:
        return None
    rows = zip(dataset.contents, dataset.manifest.rows, strict=True)
    return sum(content in known for content, row in rows if split in (None, row.split))


def known_to(folder: Path) -> set[str] | None:
    """The SHA-256 of each image that the model in this folder was trained or calibrated on; None
    where that is not written there. Raises RunError."""
    file = folder / LEARNED_NAME
    if not file.exists():
        return None
    try:
        return set(file.read_text("ascii").split())
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: not readable ({error}); delete it, or train again") from error

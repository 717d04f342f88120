"""Which images a model has learned from: told by their content, wherever copies of them lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from training.data.dataset import Dataset
from training.data.manifest import Split
from training.errors import RunError
from training.outputs import whole
from training.provenance import sha256

LEARNED_NAME: Final = "learned_from.txt"


def remember(files: Iterable[Path], folder: Path, *, start: Path | None = None) -> None:
    """Writes FOLDER/LEARNED_NAME: the SHA-256 of each of these images, a line each, and of those
    that a model in the folder `start`, from which training began, has learned from. Raises RunError
    where that cannot be read."""
    known = {sha256(file) for file in files} | ((_known(start) if start else None) or set())
    with whole(folder / LEARNED_NAME) as file:
        file.write_text("".join(f"{content}\n" for content in sorted(known)), "ascii")


def learned(dataset: Dataset, split: Split | None, folder: Path) -> int | None:
    """How many images of a split, of all where it is None, the model in this folder was trained or
    calibrated on. None where that is not written there. Raises RunError."""
    known = _known(folder)
    if known is None:
        return None
    rows = zip(dataset.contents, dataset.manifest.rows, strict=True)
    return sum(content in known for content, row in rows if split in (None, row.split))


def _known(folder: Path) -> set[str] | None:
    file = folder / LEARNED_NAME
    if not file.exists():
        return None
    try:
        return set(file.read_text("ascii").split())
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: not readable ({error}); delete it, or train again") from error

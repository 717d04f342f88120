"""Real and synthetic training images together, and how often each of them is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES
from training.config import FitConfig
from training.data.dataset import Dataset, ImageSet
from training.data.manifest import Manifest
from training.data.overlap import require_disjoint
from training.digest import sha256
from training.errors import DataError
from training.synthesis.stages import DONE_NAME, read_done


@dataclass(frozen=True)
class Synthetic:
    """Which synthetic images a run learns from, beside its real ones.

    folder: a dataset without validation or test images, such as `cane-train synthesize` makes.
    shares: (5,) in the order of GRADES, from 0 to 1: of the images of a grade that are drawn, how
        many are synthetic. shuffled: their grades are dealt anew among them at random: a control
        that shows what further images are worth whatever is on them.
    """

    folder: Path
    shares: tuple[float, ...]
    shuffled: bool = False

    def mixed_with(self, train: ImageSet, config: FitConfig) -> Mixture:
        """The real images with these. Raises DataError where one is not for training."""
        shuffled_by = config.seed if self.shuffled else None
        further = load(self.folder, config.size, agreement=config.agreement)
        return mix(train, further, self.shares, shuffled_by=shuffled_by)

    def described(self) -> dict[str, Any]:
        """What a run's configuration says of it."""
        return {
            "synthetic_sha256": self.sha256,
            "synthetic_shares": self.shares,
            "synthetic_shuffled": self.shuffled,
        }

    @property
    def files(self) -> list[Path]:
        """Of all its images."""
        return Manifest.read(self.folder).images

    def require_of(self, dataset: Dataset) -> None:
        """Raises TrainingError for a set made of another dataset, or of other splits: a load that
        is measured on may then be a parent. Images that nothing says to be made are to be none of
        the dataset's."""
        if not (self.folder / DONE_NAME).exists():
            if "parents" in Manifest.read(self.folder).columns:
                raise DataError(
                    f"{self.folder}: has no {DONE_NAME}, so it is not finished, or a copy that "
                    "lacks it; give the folder that cane-train synthesize printed"
                )
            require_disjoint(dataset.manifest.path, self.folder)
        elif read_done(self.folder).get("data") != dataset.digest:
            raise DataError(
                f"{self.folder}: was made of other images, labels or splits than those of "
                f"{dataset.manifest.path}; give a set made of these"
            )

    @property
    def sha256(self) -> str:
        """Of the manifest and of every image it names."""
        digest = hashlib.sha256(Manifest.read(self.folder).path.read_bytes())
        for image in self.files:
            digest.update(bytes.fromhex(sha256(image)))
        return digest.hexdigest()


@dataclass(frozen=True)
class Mixture:
    """Images to learn from. weights: float (n,), each image's chance of being drawn; real_weights:
    the same where only the real ones are."""

    images: ImageSet
    weights: npt.NDArray[np.float64]
    real_weights: npt.NDArray[np.float64]


def load(folder: Path, size: int, *, agreement: float) -> ImageSet:
    """All of a synthetic set's labelled images, uint8 RGB of this size.

    agreement: see `training.data.labels`. Raises DataError, also where one cannot be read.
    """
    dataset = Dataset.open(folder, agreement=agreement)
    foreign = next((r for r in dataset.manifest.rows if r.split in ("val", "test")), None)
    if foreign is not None:
        raise DataError(
            f"{dataset.manifest.path}: {foreign.image} is in split {foreign.split}; synthetic "
            "images are for training only"
        )
    found = dataset.load(None, size)
    if found.skips:
        broken = found.skips[0]
        raise DataError(f"{broken.path}: {broken.reason}; make it again, or delete its row")
    return found


def mix(
    train: ImageSet,
    synthetic: ImageSet,
    shares: Sequence[float],
    *,
    shuffled_by: int | None = None,
) -> Mixture:
    """Every grade that `train` has is equally likely; of a grade that `synthetic` has none of, all
    are real, whatever its share.

    shuffled_by: the seed by which the synthetic images' grades are dealt anew; None: they stand.
    """
    labels = synthetic.labels
    if shuffled_by is not None:
        labels = np.random.default_rng(shuffled_by).permutation(labels)
    weights = np.zeros(len(train) + len(synthetic))
    real_weights = np.zeros_like(weights)
    for index in range(len(GRADES)):
        real = np.flatnonzero(train.labels == index)
        further = len(train) + np.flatnonzero(labels == index)
        share = shares[index] if len(further) else 0.0
        if len(real):
            real_weights[real] = 1 / len(real)
            weights[real] = (1 - share) / len(real)
            if len(further):
                weights[further] = share / len(further)
    images = ImageSet(
        np.concatenate([train.images, synthetic.images]),
        np.concatenate([train.labels, labels]),
        (*train.rows, *synthetic.rows),
        (*train.skips, *synthetic.skips),
    )
    return Mixture(images, weights, real_weights)

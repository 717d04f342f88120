"""What a synthetic image is asked to be: soft grade, share of trash, region, and light.

Grade and share are a vector, since blends lie between grades. Region and light are numbers that a
learned embedding turns into tokens, f(x_t, t, region) in the study's notation; the linear part (see
`linear`) expects a mean colour of all three. Number 0 of each
means "not said": networks learn to do without, for classifier-free guidance (Ho and Salimans 2022,
arXiv:2207.12598).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from edge_agent.grades import GRADES
from training.data.dataset import ImageSet
from training.errors import DataError

VECTOR: Final = len(GRADES) + 1
"""Entries of the vector: the soft grade and the share of trash."""
LIGHTS: Final = 4
"""Classes of light: quarters of the training images by their own mean lightness."""


class Vocabulary(BaseModel):
    """Which regions there are, and where one class of light ends; from training images only.

    regions: names in the order of their numbers, from 1. lights: LIGHTS - 1 mean lightnesses.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: tuple[str, ...]
    lights: tuple[float, ...]

    @classmethod
    def of(cls, train: ImageSet) -> Self:
        """Of these images. Images without a region have none to be told by."""
        regions = sorted({row.region for row in train.rows if row.region})
        cuts = np.quantile(lightness(train.images), np.arange(1, LIGHTS) / LIGHTS)
        return cls(regions=tuple(regions), lights=tuple(float(cut) for cut in cuts))

    def region(self, name: str) -> int:
        """The number of a region; 0 for "", and where no region is told apart.

        Raises DataError for one never seen.
        """
        if not name or not self.regions:
            return 0
        if name not in self.regions:
            raise DataError(
                f"region {name!r} is not among the training images' ({', '.join(self.regions)}); "
                "choose one of these or leave the region out"
            )
        return 1 + self.regions.index(name)

    def light(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The numbers (n,), from 1, of the light of uint8 RGB images (n, h, w, 3)."""
        return 1 + np.searchsorted(np.array(self.lights), lightness(images)).astype(np.int64)


@dataclass(frozen=True)
class Conditions:
    """What n images are asked to be.

    vector: float (n, VECTOR), the soft grade in the order of GRADES, then the share of trash from
        0 to 1; all zero where neither is said.
    region, light: whole numbers (n,), 0 where not said.
    """

    vector: Tensor
    region: Tensor
    light: Tensor

    @classmethod
    def of(
        cls,
        soft_labels: npt.NDArray[np.float32],
        levels: Sequence[float],
        regions: Sequence[int],
        lights: Sequence[int] | npt.NDArray[np.int64],
    ) -> Self:
        """soft_labels: (n, 5). levels: share of trash, 0 to 100."""
        level = np.asarray(levels, np.float32)[:, None] / 100
        vector = np.concatenate([np.asarray(soft_labels, np.float32), level], axis=1)
        return cls(
            torch.from_numpy(vector),
            torch.as_tensor(np.asarray(regions, np.int64)),
            torch.as_tensor(np.asarray(lights, np.int64)),
        )

    @classmethod
    def of_loads(
        cls, loads: ImageSet, trash: npt.NDArray[np.float64], vocabulary: Vocabulary
    ) -> Self:
        """What real images are: their grade, region and light. trash: see `bases.trash_of`."""
        soft = np.eye(len(GRADES), dtype=np.float32)[loads.labels]
        regions = [vocabulary.region(row.region) for row in loads.rows]
        return cls.of(soft, trash.tolist(), regions, vocabulary.light(loads.images))

    def __len__(self) -> int:
        return len(self.region)

    def __getitem__(self, chosen: Tensor | slice) -> Conditions:
        return Conditions(self.vector[chosen], self.region[chosen], self.light[chosen])

    def without(self, dropped: Tensor) -> Conditions:
        """The same with nothing said of those images where `dropped`, bool (n,), is true."""
        kept = ~dropped
        return Conditions(self.vector * kept[:, None], self.region * kept, self.light * kept)

    def to(self, device: torch.device) -> Conditions:
        """The same on another device."""
        return Conditions(self.vector.to(device), self.region.to(device), self.light.to(device))


def lightness(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Mean lightness, 0 to 255 (CIE L* scaled, as OpenCV has it), of each uint8 RGB image: (n,)."""
    return np.array([cv2.cvtColor(i, cv2.COLOR_RGB2LAB)[..., 0].mean() for i in images])

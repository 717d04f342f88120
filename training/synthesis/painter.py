"""The trained stages of a run, ready to draw: U-Net, diffusion model, adapters by region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from training.digest import sha256
from training.synthesis import segment
from training.synthesis.adapters import Adapters
from training.synthesis.conditions import Conditions
from training.synthesis.denoiser import Denoiser
from training.synthesis.diffuse import hints, sample
from training.synthesis.run import WEIGHTS_NAME, Run, has_masks
from training.synthesis.stages import Stage


@dataclass(frozen=True)
class Asked:
    """What n images are to be.

    soft_labels: float (n, 5). levels: of trash, 0 to 100, (n,). regions: names, "" says nothing.
    seeds: of each one's noise, (n,).
    """

    soft_labels: npt.NDArray[np.float32]
    levels: npt.NDArray[np.float64]
    regions: npt.NDArray[np.str_]
    seeds: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, chosen: npt.NDArray[np.int64] | slice) -> Asked:
        return Asked(
            self.soft_labels[chosen],
            self.levels[chosen],
            self.regions[chosen],
            self.seeds[chosen],
        )


class Painter:
    """Reads the stages' files once. diffused, adapted: None where there is no such stage."""

    def __init__(
        self, run: Run, segmented: Stage, diffused: Stage | None, adapted: Stage | None
    ) -> None:
        """Raises WeightsError for a stage whose files are gone or broken."""
        device = run.accelerator.device
        self._unet: segment.UNet | None = None
        self.network: Denoiser | None = None
        self._adapters: Adapters | None = None
        files = []
        if has_masks(segmented):
            files.append(segmented.folder / WEIGHTS_NAME)
            self._unet = segment.UNet.load(files[-1], run.config.segment.widths).to(device)
        if diffused is not None:
            files.append(diffused.folder / WEIGHTS_NAME)
            self.network = Denoiser.load(files[-1]).to(device)
            if adapted is not None:
                self._adapters = Adapters.load(self.network, adapted.folder)
                files += self._adapters.files.values()
        self.model_sha256 = {f"{f.parent.name}/{f.name}": sha256(f) for f in files}
        """Of all weights that have a part in what is drawn, by file in the run directory."""

    def classes(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """What the U-Net takes each pixel for, (n, h, w); see `segment.predict`. 0 without one."""
        if self._unet is None:
            return np.zeros(images.shape[:3], np.uint8)
        return segment.predict(self._unet, images)

    def hints(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """What steers towards the edges of uint8 RGB images; see `diffuse.hints`."""
        return hints(images, self.classes(images))

    def draw(
        self,
        asked: Asked,
        lit_as: npt.NDArray[np.uint8],
        steering: npt.NDArray[np.uint8] | None,
        **how: Any,
    ) -> npt.NDArray[np.uint8]:
        """Images, uint8 RGB (n, size, size, 3). how: see `diffuse.sample`.

        lit_as: uint8 RGB images whose light they are to have. steering: see `hints`. Raises
        DataError for a region the model has never seen.
        """
        assert self.network is not None  # noqa: S101 - callers have a diffused stage
        vocabulary = self.network.architecture.vocabulary
        conditions = Conditions.of(
            asked.soft_labels,
            asked.levels.tolist(),
            [vocabulary.region(str(region)) for region in asked.regions],
            vocabulary.light(lit_as),
        )
        if self._adapters is None:
            return sample(self.network, conditions, steering, asked.seeds, **how)
        drawn = np.empty_like(lit_as)
        start = how.pop("start", None)
        for region in np.unique(asked.regions):
            ours = np.flatnonzero(asked.regions == region)
            self._adapters.choose(str(region))
            drawn[ours] = sample(
                self.network,
                conditions[torch.from_numpy(ours)],
                None if steering is None else steering[ours],
                asked.seeds[ours],
                start=None if start is None else start[ours],
                **how,
            )
        return drawn

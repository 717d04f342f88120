"""What samples that start from images have left of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.synthesis.denoiser import Denoiser
from training.synthesis.diffuse import Examples, sample


def gaps(
    network: Denoiser, data: Examples, whole: np.ndarray, strengths: Sequence[float]
) -> list[float]:
    """Mean difference from `whole`, in grey levels, of samples that start from the examples, by
    strength. whole: what all of them would be, uint8 RGB (n, size, size, 3)."""
    found = []
    for strength in strengths:
        drawn = sample(
            network,
            data.conditions,
            data.hints,
            np.arange(len(data)),
            steps=10,
            start=data.images,
            strength=strength,
        )
        found.append(float(np.abs(drawn.astype(int) - whole).mean()))
    return found

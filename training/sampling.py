"""Which images a step sees, and the random numbers it works with.

Both are functions of (seed, epoch, step, rank) and of nothing else. A run that was killed and
resumed then sees the very numbers it would have seen.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

ORDER_STEP: Final = 2**31 - 1
"""The step number under which an epoch's order is drawn; no epoch has so many steps."""


def reseed(seed: int, epoch: int, step: int, rank: int = 0) -> None:
    """Seeds torch's global generators, on all devices."""
    state = np.random.SeedSequence([seed, epoch, step, rank]).generate_state(2, np.uint32)
    torch.manual_seed(int(state[0]) << 31 ^ int(state[1]))


def balanced(labels: Tensor, *, fewest: int = 1) -> Tensor:
    """Weights (n,) of images with these labels under which every class is equally likely, but for
    classes with fewer images than `fewest`: each of these weighs as if there were so many."""
    weight = 1.0 / torch.bincount(labels).clamp(min=fewest).double()
    return weight[labels]


def epoch_order(images: int, *, seed: int, epoch: int, weights: Tensor | None = None) -> Tensor:
    """An epoch's image numbers, (images,); the same in every process.

    weights: (n,), of n images; so many are drawn with replacement, each as likely as its weight
    says. None: each image comes once.
    """
    reseed(seed, epoch, ORDER_STEP)
    if weights is None:
        return torch.randperm(images)
    return torch.multinomial(weights, images, replacement=True)


def steps_an_epoch(images: int, batch: int) -> int:
    """How many steps it takes to see `images` once, at most `batch` a step."""
    return math.ceil(images / batch)


def step_images(order: Tensor, step: int, steps: int) -> Tensor:
    """The image numbers of one step of `steps`.

    The steps' sizes differ by one at most. With a short last batch instead, batch norm would see
    a handful of images, or a single one.
    """
    size, larger = divmod(len(order), steps)
    start = step * size + min(step, larger)
    return order[start : start + size + (step < larger)]


def share(images: Tensor, rank: int, processes: int) -> Tensor:
    """What one process of several computes of a step."""
    return images[rank::processes]

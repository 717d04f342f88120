"""Fingerprints of images: equal for the same pixels, near for nearly the same picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

from training.data import images
from training.data.images import Skip

HASH_SIDE: Final = 16
"""The perceptual hash keeps the signs of 16 x 16 low frequencies: 256 bits."""

WORDS: Final = HASH_SIDE**2 // 64

NEAR_BITS: Final = 48
"""Images whose hashes differ in no more bits are near-duplicates. docs/training-data.md says how
copies and different loads were measured to differ."""


@dataclass(frozen=True)
class Fingerprint:
    """What one image is recognised by.

    content: SHA-256 of the decoded pixels and their shape. File format and metadata do not count.
    perceptual: 256-bit pHash, uint64 (4,).
    """

    content: str
    perceptual: npt.NDArray[np.uint64]


def take(
    paths: Sequence[Path], *, on_image: Callable[[], None] = lambda: None
) -> list[Fingerprint | Skip]:
    """The fingerprint of every image, or why it has none. `on_image` is called once an image."""
    found: list[Fingerprint | Skip] = []
    with ThreadPoolExecutor(images.threads()) as pool:
        for result in pool.map(fingerprint, paths):
            found.append(result)
            on_image()
    return found


def fingerprint(path: Path) -> Fingerprint | Skip:
    """The fingerprint of one image, or why it has none."""
    return images.decoded(path, _of_pixels)


def _of_pixels(pixels: npt.NDArray[np.uint8]) -> Fingerprint:
    content = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return Fingerprint(content, perceptual_hash(Image.fromarray(pixels)))


def perceptual_hash(image: Image.Image) -> npt.NDArray[np.uint64]:
    """The 256-bit pHash of an image, uint64 (WORDS,)."""
    bits = imagehash.phash(image, hash_size=HASH_SIDE).hash
    return np.packbits(bits.ravel()).view(np.uint64)


def near_pairs(
    perceptual: npt.NDArray[np.uint64], bits: int = NEAR_BITS, *, block: int = 256
) -> list[tuple[int, int, int]]:
    """All pairs of near-duplicates among hashes (n, WORDS), as (i, j, differing bits) with i < j.

    Compares all pairs, `block` rows at a time: O(n^2) time, O(block n) memory.
    """
    count = len(perceptual)
    pairs: list[tuple[int, int, int]] = []
    for start in range(0, count, block):
        rows, rest = perceptual[start : start + block], perceptual[start:]
        distance = np.zeros((len(rows), len(rest)), np.uint16)
        for word in range(perceptual.shape[1]):
            distance += np.bitwise_count(rows[:, None, word] ^ rest[None, :, word])
        for i, j in np.argwhere(distance <= bits).tolist():
            if i < j:
                pairs.append((start + i, start + j, int(distance[i, j])))
    return pairs

"""How far are copies of an image from it, and how near do different images come?

Takes images of a folder, changes each in several ways, and prints one JSON object with the numbers
of bits, of 256, in which perceptual hashes differ:

- different: least, 0.01 % and median over all pairs of different images;
- copies: median, 90 % and most over the images, for each change.

The limit `training.data.fingerprints.NEAR_BITS` should lie between the copies and the least.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from training import provenance
from training.data import images
from training.data.fingerprints import NEAR_BITS, perceptual_hash

Change = Callable[[Image.Image], Image.Image]


def jpeg(quality: int) -> Change:
    def change(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return change


def crop(share: float) -> Change:
    def change(image: Image.Image) -> Image.Image:
        x, y = max(1, int(share * image.width)), max(1, int(share * image.height))
        return image.crop((x, y, image.width - x, image.height - y))

    return change


CHANGES: dict[str, Change] = {
    "jpeg quality 60": jpeg(60),
    "jpeg quality 30": jpeg(30),
    "half the size": lambda i: i.resize((i.width // 2, i.height // 2), Image.Resampling.BOX),
    "brightness x 1.25": lambda i: ImageEnhance.Brightness(i).enhance(1.25),
    "brightness x 0.7": lambda i: ImageEnhance.Brightness(i).enhance(0.7),
    "2 % cut off each edge": crop(0.02),
}

_SUFFIXES = (".png", ".jpg", ".jpeg")


def bits(one: npt.NDArray[np.uint64], other: npt.NDArray[np.uint64]) -> int:
    return int(np.bitwise_count(one ^ other).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="images, in any sub-folder")
    parser.add_argument("--images", type=int, default=500, help="at most so many, drawn")
    parser.add_argument("--changed", type=int, default=60, help="so many of them are changed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    drawn = np.random.default_rng(options.seed).permutation(len(paths))[: options.images]
    decoded = [images.decode(paths[i]) for i in drawn]
    pictures = [Image.fromarray(d) for d in decoded if not isinstance(d, images.Skip)]
    if len(pictures) < 2:
        raise SystemExit(
            f"{options.folder}: {len(pictures)} images can be read there, 2 are needed"
        )
    hashes = [perceptual_hash(picture) for picture in pictures]
    stack = np.stack(hashes)
    apart = [np.bitwise_count(h ^ stack[i + 1 :]).sum(1) for i, h in enumerate(stack)]
    different = np.quantile(np.concatenate(apart), [0, 1e-4, 0.5])
    copies = {
        name: np.quantile(
            [
                bits(perceptual_hash(change(picture)), original)
                for picture, original in zip(pictures[: options.changed], hashes, strict=False)
            ],
            [0.5, 0.9, 1],
        ).tolist()
        for name, change in CHANGES.items()
    }
    report = {
        "benchmark": "near_duplicates",
        **provenance.of_result(),
        "images": len(pictures),
        "left_out": len(decoded) - len(pictures),
        "different": different.tolist(),
        "copies": copies,
        "limit": NEAR_BITS,
        "seed": options.seed,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

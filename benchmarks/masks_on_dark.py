"""Masks of photographs of single things on a dark ground, such as billets-5: Otsu's threshold.

Writes masks/ and the manifest's column `mask`: 1 (stalk) for the largest bright piece with the
holes in it, 0 for the ground. No mask shows leaf or trash, and the column `trash_share` stays as it
is. A manifest that has masks is refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from refusals import in_one_line

from training.data.drawn.masks import FOLDER, coded, write_masks
from training.data.manifest import Manifest
from training.data.trash import STALK

_BLUR_PX = 1.5


def thing_of(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Of a grey picture (height, width): uint8 of its shape, STALK where the thing is."""
    calm = cv2.GaussianBlur(picture, (0, 0), _BLUR_PX)
    _, bright = cv2.threshold(calm, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    pieces, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = np.zeros(picture.shape, np.uint8)
    if pieces:
        cv2.drawContours(mask, [max(pieces, key=cv2.contourArea)], -1, STALK, cv2.FILLED)
    return mask


def main() -> None:
    """Writes the masks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of a manifest")
    manifest = Manifest.read(parser.parse_args().data)
    drawn = sum(bool(row.get("mask")) for row in manifest.cells)
    if drawn:
        raise SystemExit(f"{manifest.path}: {drawn} rows have a mask already; they stay")
    masks = {}
    for number, file in enumerate(manifest.images):
        picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise SystemExit(f"{file}: cannot be read; see cane-train data check")
        masks[number] = coded(thing_of(np.asarray(picture, np.uint8)))
    write_masks(manifest, masks)
    print(f"{len(masks)} masks in {manifest.folder / FOLDER}")


if __name__ == "__main__":
    with in_one_line():
        main()

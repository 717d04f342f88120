"""Pixels: image files to uint8 arrays of one size, with every skip counted and said."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

MAX_PIXELS: Final = 64_000_000
"""Larger images are not camera frames; decoding one could exhaust the memory."""


@dataclass(frozen=True)
class Skip:
    """An image that was left out, and why."""

    path: Path
    reason: str


def load(
    paths: Sequence[Path], size: int, *, on_image: Callable[[], None] = lambda: None
) -> tuple[npt.NDArray[np.uint8], list[int], list[Skip]]:
    """Reads images and resizes them by area to size x size.

    Returns uint8 RGB (n, size, size, 3), the positions in `paths` of those n, and the skips.
    `on_image` is called once an image, for progress.
    """
    images: npt.NDArray[np.uint8] = np.empty((len(paths), size, size, 3), np.uint8)
    kept: list[int] = []
    skips: list[Skip] = []
    with ThreadPoolExecutor() as pool:
        for position, result in enumerate(pool.map(lambda path: read(path, size), paths)):
            if isinstance(result, Skip):
                skips.append(result)
            else:
                images[len(kept)] = result
                kept.append(position)
            on_image()
    return images[: len(kept)], kept, skips


def read(path: Path, size: int) -> npt.NDArray[np.uint8] | Skip:
    """One image, uint8 RGB (size, size, 3), or the reason why there is none.

    The resize is by area, as in the agent. An image that has the size already is not touched.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as file:
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF data and of large images
            if file.width * file.height > MAX_PIXELS:
                return Skip(path, f"has {file.width} x {file.height} pixels")
            if file.mode not in ("RGB", "RGBA", "P", "L"):
                return Skip(path, f"colour mode {file.mode}, not 8-bit RGB or grey")
            pixels = np.asarray(file.convert("RGB"))
    except FileNotFoundError:
        return Skip(path, "no such file")
    except Image.DecompressionBombError:
        return Skip(path, "too many pixels")
    except UnidentifiedImageError:
        return Skip(path, "not an image")
    except (OSError, SyntaxError, ValueError) as error:
        return Skip(path, f"unreadable ({error})")
    if pixels.shape[:2] != (size, size):
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return np.ascontiguousarray(pixels)

"""Pixels: image files to uint8 arrays of one size, with every skip counted and said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import psutil
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from training.data.cut_jpeg import is_cut
from training.data.description import Area
from training.data.quiet import Quiet
from training.data.room import Room
from training.errors import DataError

MAX_PIXELS: Final = 64_000_000
"""Larger images are not camera frames; decoding one could exhaust the memory. So many are in hand
at once, too, however many threads there are: a progressive JPEG takes 17 bytes a pixel."""

# From 32 MiB on glibc gives memory back at once; of Pillow's usual blocks every thread keeps some.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]

MIN_SIDE: Final = 16
"""Half the least --size. What is smaller would be enlarged more than twice at every size, and shows
no cane any more: an icon, a tracking pixel, a frame's edge."""

FORMATS: Final = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
"""What is read; Pillow counts MPO as JPEG. Of others it drops the low byte of 16-bit colour without
a word (PPM, JPEG 2000), or reads them in ways that few have tried."""

_QUIET: Final = Quiet()
_ROOM: Final = Room(MAX_PIXELS)
_SMALL: Final = f"a side is shorter than {MIN_SIDE} px"
_WITH_ALPHA: Final = ("RGBA", "LA", "PA")
_EIGHT_BIT: Final = ("RGB", "L", "P", *_WITH_ALPHA)
_DEEP: Final = "16 or more bits a sample, not 8"
_BITS_PER_SAMPLE: Final = 258
"""Tag of TIFF."""
_LAST_UPRIGHT: Final = 4
"""EXIF orientations from 5 to 8 lie on their sides."""


Made = TypeVar("Made")


@dataclass(frozen=True)
class Skip:
    """An image that was left out, and why.

    split: the one it would be in, where it was left out before it had a row and that is known.
    """

    path: Path
    reason: str
    split: str | None = None


def load(
    paths: Sequence[Path],
    size: int,
    *,
    cut: Area | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> tuple[npt.NDArray[np.uint8], list[int], list[Skip]]:
    """Reads images, cuts them and resizes them by area to size x size.

    Returns uint8 RGB (n, size, size, 3), the positions in `paths` of those n, and the skips.
    `on_image` is called once an image, for progress. Raises DataError when the memory that is free
    does not hold them.
    """
    _check_memory(len(paths), size)
    images: npt.NDArray[np.uint8] = np.empty((len(paths), size, size, 3), np.uint8)
    kept: list[int] = []
    skips: list[Skip] = []
    with ThreadPoolExecutor(threads()) as pool:
        for position, result in enumerate(pool.map(lambda path: read(path, size, cut), paths)):
            if isinstance(result, Skip):
                skips.append(result)
            else:
                images[len(kept)] = result
                kept.append(position)
            on_image()
    return images[: len(kept)], kept, skips


def threads() -> int:
    """How many images are decoded at once: one a thread that OpenCV has, which --threads says."""
    return max(1, cv2.getNumThreads())


def read(path: Path, size: int, cut: Area | None = None) -> npt.NDArray[np.uint8] | Skip:
    """One image, uint8 RGB (size, size, 3), or the reason why there is none.

    Cut and resized by area as in the agent. An image that has the size already is not resized.
    """

    def fitted(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | Skip:
        if cut is not None:
            pixels = cut_out(pixels, cut)
            if min(pixels.shape[:2]) < MIN_SIDE:
                return Skip(path, f"cut to the graded area, {_SMALL}")
        if pixels.shape[:2] != (size, size):
            pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)
        return np.ascontiguousarray(pixels)

    return decoded(path, fitted)


def decode(path: Path) -> npt.NDArray[np.uint8] | Skip:
    """One image as it is meant to be seen, uint8 RGB (height, width, 3), or why there is none.

    Turned upright by its EXIF orientation; grey and palette images become RGB. What has no single
    right conversion is left out: CMYK without its printer, 16 bits a sample whose white is not
    known, transparency without what is behind it, animations. So is what has a side below MIN_SIDE.
    """
    return decoded(path, lambda pixels: pixels)


def decoded(path: Path, use: Callable[[npt.NDArray[np.uint8]], Made | Skip]) -> Made | Skip:
    """What `use` makes of an image as `decode` gives it, or why there is none.

    Threads wait for one another here where they would have more than MAX_PIXELS in hand.
    """
    with ExitStack() as room:

        def pixels_of(file: ImageFile.ImageFile) -> npt.NDArray[np.uint8] | Skip:
            room.enter_context(_ROOM.taken(file.width * file.height))
            return _rgb(path, file)

        pixels = examine(path, pixels_of)
        return pixels if isinstance(pixels, Skip) else use(pixels)


def told(skips: Sequence[Skip]) -> str | None:
    """A line on what was left out; None where nothing was."""
    if not skips:
        return None
    return f"skipped {len(skips)} images; the first: {skips[0].path}: {skips[0].reason}"


def size_of(path: Path) -> tuple[int, int] | Skip:
    """(width, height) of an image as `decode` gives it, without decoding its pixels; also of one
    that is too small for `decode`."""

    def upright(file: ImageFile.ImageFile) -> tuple[int, int]:
        sideways = file.getexif().get(ExifTags.Base.Orientation, 1) > _LAST_UPRIGHT
        return (file.height, file.width) if sideways else (file.width, file.height)

    return examine(path, upright)


def examine(path: Path, use: Callable[[ImageFile.ImageFile], Made]) -> Made | Skip:
    """What `use` makes of an opened image file, or why it cannot be used.

    The one place that opens images, so that no damage to a file gets past it. `use` is only given
    files that can be decoded to 8-bit RGB without a choice; nothing is decoded before.
    """
    try:
        # Pillow warns of odd EXIF data and of large images, from opening on.
        with _QUIET, Image.open(path, formats=FORMATS) as file:
            fault = _fault(file)
            return use(file) if fault is None else Skip(path, fault)
    except FileNotFoundError:
        return Skip(path, "no such file")
    except Image.DecompressionBombError:
        return Skip(path, f"has more than {MAX_PIXELS} pixels")
    except UnidentifiedImageError:
        return Skip(path, f"not an image in a format that is read ({', '.join(FORMATS)})")
    except (OSError, SyntaxError, ValueError) as error:
        # The same fault in many files is to have the same text: no path, no number of bytes.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        return Skip(path, "truncated" if "truncated" in reason else f"unreadable ({reason})")
    except Exception as error:  # noqa: BLE001 - damage leads Pillow's parsers to any exception
        return Skip(path, f"damaged ({type(error).__name__})")


def _rgb(path: Path, file: ImageFile.ImageFile) -> npt.NDArray[np.uint8] | Skip:
    """The pixels of an opened image, uint8 RGB (height, width, 3), or why there are none."""
    if min(file.size) < MIN_SIDE:
        return Skip(path, _SMALL)
    if is_cut(path, file):
        return Skip(path, "truncated")
    upright = ImageOps.exif_transpose(file)
    if file.mode in _WITH_ALPHA or "transparency" in file.info:
        upright = upright.convert("RGBA")
        if upright.getchannel("A").getextrema()[0] != 255:
            return Skip(path, "has transparent parts")
    return np.asarray(upright.convert("RGB"))


def cut_out(pixels: npt.NDArray[np.uint8], area: Area) -> npt.NDArray[np.uint8]:
    """That area of an image (height, width, ...), a view."""
    left, top, right, bottom = in_pixels(area, pixels.shape[1], pixels.shape[0])
    return pixels[top:bottom, left:right]


def in_pixels(area: Area, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels of a width x height image.

    Rounded to even numbers, as the agent does when it cuts a frame.
    """
    left, top, right, bottom = area
    return (
        round(left * width / 2) * 2,
        round(top * height / 2) * 2,
        round(right * width / 2) * 2,
        round(bottom * height / 2) * 2,
    )


def _fault(file: ImageFile.ImageFile) -> str | None:
    """Why an opened image should not be decoded; None where nothing speaks against it."""
    if file.width * file.height > MAX_PIXELS:
        return f"has {file.width} x {file.height} pixels, more than {MAX_PIXELS}"
    # Pillow would drop the low byte of 16-bit colour without a word; the raw mode tells.
    raw_modes = [str(t.args[0] if isinstance(t.args, tuple) else t.args) for t in file.tile]
    if file.mode.startswith("I") or any(";16" in mode for mode in raw_modes):
        return _DEEP
    if file.mode not in _EIGHT_BIT:
        return f"colour mode {file.mode}, not 8-bit RGB or grey"
    # The raw modes of a TIFF with a plane for each colour do not tell, its BitsPerSample does.
    if isinstance(file, TiffImageFile) and max(file.tag_v2.get(_BITS_PER_SAMPLE, (1,))) > 8:
        return _DEEP
    # Phones write JPEGs with a second, smaller picture (MPO); the first is the photograph.
    if getattr(file, "n_frames", 1) > 1 and file.format != "MPO":
        return "has more than one picture"
    return None


def _check_memory(count: int, size: int) -> None:
    needed = count * size * size * 3
    free = psutil.virtual_memory().available
    if needed > free:
        raise DataError(
            f"{count} images of {size} x {size} px need {needed / 2**30:.1f} GiB of memory, "
            f"{free / 2**30:.1f} GiB are free; choose a smaller --size or fewer images"
        )

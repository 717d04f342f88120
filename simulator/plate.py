"""Draws Thai licence plates: number above, province below."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

_log = logging.getLogger(__name__)

PLATE_METRES: Final = (0.44, 0.22)
_PIXELS: Final = (880, 440)
_FOLDERS: Final = tuple(
    Path(root) for root in ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts")
)
_THAI_FONTS: Final = ("NotoSansThai-Bold", "NotoSansThai-Regular", "Loma-Bold", "Garuda-Bold")
_LATIN_FONTS: Final = ("DejaVuSans-Bold", "NotoSans-Bold", "LiberationSans-Bold")


@lru_cache(maxsize=2)
def _font_file(thai: bool) -> Path | None:
    """A font for the plate, or None; says once when Thai cannot be written."""
    for name in _THAI_FONTS if thai else _LATIN_FONTS:
        for folder in _FOLDERS:
            for found in folder.rglob(f"{name}.*tf") if folder.is_dir() else ():
                return found
    if thai:
        _log.warning("no Thai font found (fonts-noto-core or fonts-tlwg): plates lack the province")
    return None


def _font(thai: bool, height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    file = _font_file(thai)
    if file is None:
        return ImageFont.load_default(height)
    return ImageFont.truetype(str(file), height)


def draw_plate_image(plate: str, province: str) -> npt.NDArray[np.uint8]:
    """The plate as (440, 880, 3) RGB. Hire plates (prefix 60 to 79) are yellow, others white.

    Without a Thai font the province is left out.
    """
    hire = plate[:2].isdigit() and 60 <= int(plate[:2]) <= 79
    ground = (238, 190, 60) if hire else (226, 228, 224)
    image = Image.new("RGB", _PIXELS, (60, 60, 58))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((10, 10, _PIXELS[0] - 10, _PIXELS[1] - 10), 40, fill=ground)
    draw.rounded_rectangle(
        (24, 24, _PIXELS[0] - 24, _PIXELS[1] - 24), 30, outline=(24, 26, 30), width=7
    )
    ink = (20, 22, 28)
    draw.text((_PIXELS[0] / 2, 160), plate, fill=ink, font=_font(False, 186), anchor="mm")
    if province and _font_file(True) is not None:
        draw.text((_PIXELS[0] / 2, 340), province, fill=ink, font=_font(True, 112), anchor="mm")
    return np.asarray(image, np.uint8)

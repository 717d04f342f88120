"""JPEG files that end too early, but with an end marker, as a lost connection or a repair leaves.

libjpeg fills what is missing with mid-grey and only warns; Pillow does not pass the warning on.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

from PIL import Image, ImageFile

_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""A marker that begins a segment: no stuffed zero, no fill byte, no restart."""
_END: Final = 0xD9
_MID_GREY: Final = 128
"""What all colours of a block without data are."""
_MORE: Final = b"".join(bytes(range(1, 255)) + bytes((0xFF, 0xD0 + n)) for n in range(8))
"""Bytes that would be picture, and every restart marker: a cut at one resumes only behind it."""


def is_cut(path: Path, file: ImageFile.ImageFile) -> bool:
    """Does an opened JPEG lack picture data before its end marker? Loads the picture.

    Decodes a copy with more bytes in front of the end marker. A decoder that has had all its data
    skips them; one that has not takes them for picture, which then looks different. To be quick,
    this is done only where something may be missing. Not found: a last block alone (8 or 16 px),
    and a progressive JPEG cut between two scans, which is a whole, coarser picture.
    """
    if file.format not in ("JPEG", "MPO"):
        return False
    file.load()
    corner = file.getpixel((file.width - 1, file.height - 1))
    values = corner if isinstance(corner, tuple) else (corner,)
    # A progressive JPEG has its last block from the first scan on, so that tells nothing.
    if "progressive" not in file.info and any(value != _MID_GREY for value in values):
        return False
    content = path.read_bytes()
    end = _end_marker(content)
    if end is None:  # Pillow has loaded the picture all the same: only the marker is missing
        return False
    longer = io.BytesIO(content[:end] + _MORE + content[end:])
    with Image.open(longer, formats=("JPEG",)) as again:
        return again.tobytes() != file.tobytes()


def _end_marker(content: bytes) -> int | None:
    """Where the end marker of the first picture is. Thumbnails lie within segments before it."""
    at = 2  # after the marker that begins the file
    while (found := _MARKER.search(content, at)) is not None:
        at = found.start()
        if content[at + 1] == _END:
            return at
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None

"""Finding the parameter sets in a coded picture: when they change, so may the picture's size."""

from __future__ import annotations

import re

_START = re.compile(rb"\x00\x00\x01")


def parameter_sets(data: bytes, codec: str) -> bytes:
    """VPS, SPS and PPS of an Annex B byte stream, joined; empty if it has none.

    codec: h264 or hevc (NAL unit types of H.264 and H.265, table 7-1 each).
    """
    marks = list(_START.finditer(data[:4096]))
    ends = [mark.start() for mark in marks[1:]]
    sets = []
    for start, end in zip((mark.end() for mark in marks), [*ends, 4096], strict=False):
        if start >= len(data):
            break
        kind = data[start] & 0x1F if codec == "h264" else data[start] >> 1 & 0x3F
        if kind in ((7, 8) if codec == "h264" else (32, 33, 34)):
            sets.append(data[start:end].rstrip(b"\x00"))
    return b"|".join(sets)

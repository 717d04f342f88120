"""Noticing B-frames: pictures that are sent in another order than they were taken in. Pure logic.

A B-frame is coded from a later picture, which is sent before it. The agent decodes each picture as
soon as it comes and can do nothing with such a stream; cameras can be set to send none.
"""

from __future__ import annotations

from collections import deque
from typing import Final

REORDERED_S: Final = 1.0
"""A time stamp this much or more before the last one is no B-frame: the stream began anew. Coders
look ahead some pictures, at most 16 in H.264 and H.265: 0.64 s at 25 pictures a second."""

_STEPS: Final = 3
_WINDOW: Final = 100
"""So many steps back among so many packets are told: even with 16 B-frames in a row there are six.
A stream with sound may step back at a sender report, as FFmpeg takes its time stamps from them; but
reports come every 5 s, so that fewer lie among these packets."""


class OrderWatch:
    """Says whether a camera sends B-frames. One for each connection."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._back: deque[bool] = deque(maxlen=_WINDOW)

    def see(self, pts_s: float | None) -> bool:
        """Takes note of the next packet's presentation time in seconds of the stream, if it has
        one; does the camera send B-frames?"""
        if pts_s is not None:
            if self._last is not None:
                self._back.append(0 < self._last - pts_s < REORDERED_S)
            self._last = pts_s
        return self._back.count(True) >= _STEPS

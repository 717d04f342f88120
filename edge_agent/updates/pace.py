"""How fast bytes must come: neither a repository nor a pusher may hold a station for ever."""

from __future__ import annotations

import time
from typing import Final

GRACE_S: Final = 15.0


class Pace:
    """A least rate since now, which counts once some time has gone by."""

    def __init__(self, least_bytes_s: float, grace_s: float = GRACE_S) -> None:
        self._least, self._grace = least_bytes_s, grace_s
        self._began = time.monotonic()

    def fault(self, size: int) -> str | None:
        """What is wrong with having so many bytes by now, None if nothing is."""
        took = time.monotonic() - self._began
        slow = took > self._grace and size < self._least * took
        return f"{size} bytes in {took:.0f} s" if slow else None

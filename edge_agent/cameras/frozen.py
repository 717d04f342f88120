"""Suspecting a frozen camera from packet sizes alone, so that no idle picture is decoded."""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 1.0
_BYTES_PER_PIXEL: Final = 1 / 6000
"""A predicted picture in which nothing changed, not even noise, is smaller than this."""


class FrozenSuspicion:
    """True while every predicted picture of the last second was all but empty."""

    def __init__(self) -> None:
        self._since: float | None = None

    def see(self, at: float, size: int, pixels: int, *, is_key: bool) -> bool:
        """Takes note of a packet of `size` bytes at monotonic time `at`; is it suspicious now?

        One picture with content clears the suspicion at once.
        """
        if is_key:
            return self.suspicious(at)
        if size > pixels * _BYTES_PER_PIXEL:
            self._since = None
        elif self._since is None:
            self._since = at
        return self.suspicious(at)

    def suspicious(self, at: float) -> bool:
        """Whether the emptiness has lasted for the window at monotonic time `at`."""
        return self._since is not None and at - self._since >= WINDOW_S

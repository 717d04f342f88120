"""Noticing a frozen camera from packet sizes, so that idle pictures are decoded only on suspicion.

A frozen picture that is coded again and again costs its keyframes, then up to a second in which
the coder still refines it, then next to nothing until the next keyframe. Live video never gets
that small: sensor noise alone costs more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

EMPTY_S: Final = 0.32
"""Empty pictures for so long are suspicious: longer than the pictures compared lie apart."""
LIVELY_S: Final = 2.0
"""Without one empty picture for so long, longer than any refining, a frozen camera is live."""

_BYTES_PER_PIXEL: Final = 1 / 6000
"""A predicted picture in which nothing changed, not even noise, is smaller than this."""
_CONFIRM_AGAIN_S: Final = (0.5, 10.0)
"""The wait after a suspicion that was not confirmed: at first, and at most as it doubles."""


class FreezeWatch:
    """Says whether a camera is frozen. Times are monotonic seconds.

    `confirm` decodes and says whether the newest picture repeats one from before; it is called
    when sizes raise the suspicion, seldom again if it was wrong, and from time to time on a frozen
    camera whose pictures stay empty.
    """

    def __init__(self, confirm: Callable[[], bool]) -> None:
        self.frozen = False
        self._confirm = confirm
        self._empty_since: float | None = None
        self._last_empty = float("-inf")
        self._next_look = float("-inf")
        self._wait = _CONFIRM_AGAIN_S[0]

    def see(self, at: float, size: int, pixels: int, *, is_key: bool) -> bool:
        """Takes note of a packet of `size` bytes that came at `at`; is the camera frozen now?"""
        if not is_key:
            if size > pixels * _BYTES_PER_PIXEL:
                self._empty_since = None
            else:
                self._empty_since = at if self._empty_since is None else self._empty_since
                self._last_empty = at
        if self.frozen and at - self._last_empty > LIVELY_S:
            self.frozen = False
            self._next_look, self._wait = at, _CONFIRM_AGAIN_S[0]
        elif self._empty_since is None or at - self._empty_since < EMPTY_S:
            if not self.frozen:
                self._wait = _CONFIRM_AGAIN_S[0]
        elif at >= self._next_look:
            was_frozen, self.frozen = self.frozen, self._confirm()
            if self.frozen:
                self._wait = _CONFIRM_AGAIN_S[1]
            elif was_frozen:
                self._wait = _CONFIRM_AGAIN_S[0]
            self._next_look = at + self._wait
            self._wait = min(2 * self._wait, _CONFIRM_AGAIN_S[1])
        return self.frozen

"""Noticing a frozen camera from packet sizes, so that idle pictures are decoded only on suspicion.

A frozen picture that is coded again and again costs its keyframes, then up to a second in which
the coder still refines it, then next to nothing until the next keyframe. Live video never gets
that small: sensor noise alone costs more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 1.0
LIVELY_S: Final = 2.0
"""Without one empty picture for so long, longer than any refining, a frozen camera is live."""

_EMPTY_SHARE: Final = 0.4
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
        self._window: deque[tuple[float, bool]] = deque()
        self._last_empty = float("-inf")
        self._next_look = float("-inf")
        self._wait = _CONFIRM_AGAIN_S[0]

    def see(self, at: float, size: int, pixels: int, *, is_key: bool) -> bool:
        """Takes note of a packet of `size` bytes that came at `at`; is the camera frozen now?"""
        if not is_key:
            empty = size <= pixels * _BYTES_PER_PIXEL
            self._last_empty = at if empty else self._last_empty
            self._window.append((at, empty))
        while self._window and at - self._window[0][0] > WINDOW_S:
            self._window.popleft()
        if self.frozen and at - self._last_empty > LIVELY_S:
            self.frozen = False
        elif not self._suspicious(at):
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

    def _suspicious(self, at: float) -> bool:
        """Whether enough of the last second was empty, up to now."""
        if not self._window or at - self._last_empty > WINDOW_S / 4:
            return False
        empty = sum(was_empty for _, was_empty in self._window)
        return empty >= max(3, _EMPTY_SHARE * len(self._window))

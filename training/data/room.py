"""Room for the pictures that several threads decode at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class Room:
    """So many pixels may be in hand at once, in whatever number of pictures.

    One thread at a time waits for room, and those behind it get none before it: small pictures do
    not keep a large one waiting.
    """

    def __init__(self, pixels: int) -> None:
        self._free = pixels
        self._changed = Condition()
        self._turn = Lock()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for a picture, which must be no larger than the whole room."""
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()

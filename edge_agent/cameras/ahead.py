"""Decoding ahead: while a truck is on the scale, pictures are decoded as they come."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from av.error import FFmpegError

from edge_agent.cameras.decoding import Decoded, Sequencer, StreamFormat
from edge_agent.cameras.ring import Entry, PacketRing

_FRAMES: Final = 6
"""So many decoded pictures are kept: 4 MP pictures are 6 MB each."""


class DecodeAhead:
    """A thread that keeps the newest pictures of a ring decoded while it is armed. Thread-safe.

    Ring and format belong to the reader; both it and this thread touch them under `lock` only.
    """

    def __init__(
        self,
        camera: str,
        lock: threading.RLock,
        changed: threading.Condition,
        ring: PacketRing[Any],
        stream_format: Callable[[], StreamFormat | None],
    ) -> None:
        """changed: on `lock`; the reader notifies it of every packet."""
        self._changed = changed
        # Of its own, so that packets do not wake the thread while nothing is to be decoded.
        self._called = threading.Condition(lock)
        self._ring = ring
        self._format = stream_format
        self._armed = False
        self._stopping = False
        self._ready: deque[tuple[Entry[Any], Decoded]] = deque(maxlen=_FRAMES)
        self._wanted: float | None = None
        self._broken: int | None = None
        """The packet that could not be decoded; None again from the next keyframe on."""
        self._thread = threading.Thread(target=self._run, name=f"{camera}-decode", daemon=True)

    def start(self) -> None:
        """Starts the thread; it sleeps until armed."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends the thread, waiting for it at most that long."""
        with self._changed:
            self._stopping = True
            self._called.notify_all()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def armed(self) -> bool:
        """Whether pictures are decoded as they come."""
        return self._armed

    def arm(self, armed: bool) -> None:
        """From now on decode pictures as they come, so that an answer is ready; or stop it."""
        with self._changed:
            self._armed = armed
            if not armed:
                self._ready.clear()
            self._called.notify_all()
            self._changed.notify_all()

    def want(self, instant: float | None) -> None:
        """What lies nearest to this instant (seconds since 1970) is kept until None is wanted."""
        with self._changed:
            self._wanted = instant

    def clear(self) -> None:
        """Forgets all pictures, as after a reconnect."""
        with self._changed:
            self._ready.clear()
            self._broken = None

    def find(self, target: Entry[Any], deadline: float) -> Decoded | None:
        """The target decoded, waiting until monotonic `deadline` if it is still to come.

        None if it does not come, as after a broken packet.
        """
        with self._changed:
            while self._armed and time.monotonic() < deadline:
                for entry, decoded in self._ready:
                    if entry.number == target.number:
                        return decoded
                if self._ready and self._ready[-1][0].number > target.number:
                    return None
                if self._broken is not None and target.number >= self._broken:
                    return None
                if not self._changed.wait(0.25) and not self._ready:
                    return None
        return None

    def _run(self) -> None:
        sequencer: Sequencer | None = None
        last = -1
        while True:
            with self._changed:
                if self._stopping:
                    return
                if not self._armed:
                    sequencer = None
                    self._called.wait()
                    continue
                newest, form = self._ring.newest, self._format()
                if newest is None or newest.number <= last or form is None:
                    self._changed.wait(1.0)
                    continue
                run = self._ring.run_up(newest)
            behind = [entry for entry in run if entry.number > last]
            if sequencer is None or (behind and behind[0].number != last + 1):
                sequencer, behind = Sequencer(form), run
            for entry in behind:
                last = entry.number
                if self._broken is not None and not entry.is_key:
                    # It refers to what is broken: decoding it would only cost time.
                    continue
                try:
                    self._offer(sequencer.decode(entry), broken=None)
                except FFmpegError:
                    sequencer = Sequencer(form)
                    self._offer([], broken=entry.number)

    def _offer(self, pictures: list[tuple[Entry[Any], Decoded]], *, broken: int | None) -> None:
        with self._changed:
            self._broken = broken
            for picture in pictures:
                if picture[1].frame.is_corrupt:
                    continue
                full = len(self._ready) == _FRAMES
                # While an instant is waited for, what lies nearest to it must not be pushed out.
                if not full or self._wanted is None or self._ready[0][0].stamp.at < self._wanted:
                    self._ready.append(picture)
            self._changed.notify_all()

"""The last packets of one stream, from the keyframe before the newest one. Pure logic."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Generic, TypeVar

from edge_agent.cameras.clock import Clock, Stamp

PacketT = TypeVar("PacketT")

MAX_BYTES: Final = 64 * 1024 * 1024
"""A stream that sends no keyframe within this much is cut off and starts again at the next."""


@dataclass(frozen=True)
class Entry(Generic[PacketT]):
    """One packet: a coded picture with its capture time. `number` counts up by one."""

    packet: PacketT
    stamp: Stamp
    is_key: bool
    size: int
    number: int


class PacketRing(Generic[PacketT]):
    """Holds packets from which any picture since the keyframe before the newest can be decoded."""

    def __init__(self) -> None:
        self._entries: list[Entry[PacketT]] = []
        self._bytes = 0
        self._number = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def newest(self) -> Entry[PacketT] | None:
        """The last packet that came."""
        return self._entries[-1] if self._entries else None

    @property
    def count(self) -> int:
        """How many packets have ever been taken in."""
        return self._number

    @property
    def entries(self) -> tuple[Entry[PacketT], ...]:
        """All packets held, oldest first; the first is a keyframe."""
        return tuple(self._entries)

    def clear(self) -> None:
        """Forgets everything, as after a reconnect; numbers go on."""
        self._entries.clear()
        self._bytes = 0

    def append(self, packet: PacketT, stamp: Stamp, *, is_key: bool, size: int) -> None:
        """Adds the next packet. Packets before the first keyframe cannot be decoded: dropped."""
        if not self._entries and not is_key:
            return
        if self._bytes + size > MAX_BYTES and not is_key:
            self.clear()
            return
        if is_key:
            keys = [i for i, entry in enumerate(self._entries) if entry.is_key]
            if keys:
                self._bytes -= sum(entry.size for entry in self._entries[: keys[-1]])
                del self._entries[: keys[-1]]
        self._entries.append(Entry(packet, stamp, is_key, size, self._number))
        self._number += 1
        self._bytes += size

    def nearest(self, instant: float) -> Entry[PacketT] | None:
        """The packet whose picture was taken nearest to `instant` (seconds since 1970).

        After the first sender report the ring holds both kinds of stamps. One by arrival is late by
        the camera's latency: it counts as one interval farther, so that it cannot beat the picture
        that the camera's own clock says was taken then.
        """
        guess = self.interval()

        def distance(entry: Entry[PacketT]) -> float:
            return abs(entry.stamp.at - instant) + guess * (entry.stamp.clock is Clock.HOST)

        return min(self._entries, key=distance, default=None)

    def run_up(self, target: Entry[PacketT]) -> list[Entry[PacketT]]:
        """What must be decoded, in order, to see `target`: from its keyframe to itself.

        Empty if the ring has moved on past it.
        """
        run: list[Entry[PacketT]] = []
        for entry in self._entries:
            if entry.is_key:
                run = []
            run.append(entry)
            if entry.number == target.number:
                return run
        return []

    def interval(self) -> float:
        """Seconds from picture to picture, over what is held; 0.04 before there are two.

        A change of clock says nothing of it: the camera's may be wrong by hours.
        """
        steps = [
            later.stamp.at - earlier.stamp.at
            for earlier, later in pairwise(self._entries)
            if earlier.stamp.clock is later.stamp.clock
        ]
        return max(0.001, sum(steps) / len(steps)) if steps else 0.04

"""When was a packet's picture taken? Pure logic, fed with what the demuxer says."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

AGREEMENT_S: Final = 0.005
"""Two packets in a row must give the same clock offset within this to be believed."""

_HOST_WINDOW: Final = 100


class Clock(StrEnum):
    """What a capture time rests on."""

    RTCP = "rtcp"
    """The camera's own clock, by its RTCP sender reports (RFC 3550 section 6.4.1)."""
    HOST = "host"
    """When the packet arrived here, less the configured latency."""


@dataclass(frozen=True)
class Stamp:
    """A capture time: seconds since 1970 (UTC) and what it rests on."""

    at: float
    clock: Clock


class CaptureClock:
    """Turns a stream's time stamps into capture times. One for each connection.

    The producer time that comes with a packet is used only once two packets in a row agree on its
    offset to the stream's time stamps: the first after a report in mid-stream is a frame late.
    """

    def __init__(self, latency_s: float = 0.0) -> None:
        self._latency_s = latency_s
        self._offset: float | None = None
        self._candidate: float | None = None
        self._last_pts: float | None = None
        self._host_offsets: deque[float] = deque(maxlen=_HOST_WINDOW)

    def stamp(self, pts_s: float | None, produced_at: float | None, arrived_at: float) -> Stamp:
        """The capture time of the next packet.

        pts_s: its presentation time in seconds of the stream, if it has one.
        produced_at: its producer reference time (seconds since 1970), if there was a report.
        arrived_at: when it came here, seconds since 1970.
        """
        if pts_s is None:
            return Stamp(arrived_at - self._latency_s, Clock.HOST)
        if self._last_pts is not None and pts_s < self._last_pts:
            self._forget()
        self._last_pts = pts_s
        self._host_offsets.append(arrived_at - pts_s)
        if produced_at is not None:
            self._learn(produced_at - pts_s)
        if self._offset is not None:
            return Stamp(pts_s + self._offset, Clock.RTCP)
        # The packet that was delayed least says most about when pictures are taken.
        return Stamp(pts_s + min(self._host_offsets) - self._latency_s, Clock.HOST)

    def _learn(self, offset: float) -> None:
        if self._candidate is not None and abs(offset - self._candidate) <= AGREEMENT_S:
            self._offset = offset
        self._candidate = offset

    def _forget(self) -> None:
        """Time went backward: the camera has restarted its stream."""
        self._offset = self._candidate = None
        self._host_offsets.clear()

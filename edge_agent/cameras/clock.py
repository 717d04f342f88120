"""When was a packet's picture taken? Pure logic, fed with what the demuxer says.

A sender report ties the stream's time stamps to the camera's clock. FFmpeg goes on by the last
report for ever, and so would we: but the two drift apart, and the clock may be set meanwhile. So a
report counts for REPORT_LIFE_S. After that, as after a restart of the stream, capture times rest on
the arrival here until a new report has come and two packets in a row agree on what it says.

How a new report shows: FFmpeg puts `rtcp_sr` side data on the packet after it, but loses it where
the report comes between two slices of one picture, and before the first packet. What never gets
lost is that the producer time moves: its offset to the time stamps stays the same from report to
report but for the rounding to microseconds, and a new report moves it, if only because time stamps
are rounded to 11 microseconds. Either sign counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge_agent.cameras.order import REORDERED_S

AGREEMENT_S: Final = 0.005
"""Two packets in a row must give the same clock offset within this to be believed."""

REPORT_LIFE_S: Final = 60.0
"""For so long without another a sender report counts. They come about every 5 s (RFC 3550 section
6.2), so a dozen are missing by then, and a poor quartz (100 ppm) has drifted by 6 ms: still little
beside the time from picture to picture."""

_SAME_REPORT_S: Final = 3e-6
"""By one report, offsets differ by less: both times are rounded to a microsecond."""
_SKIPPED_S: Final = 10.0
"""Time stamps that go ahead of the arrivals by more are a restart. A camera that drops what the
network did not take skips some seconds too, but no more than its buffer holds."""
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

    def __init__(self, latency_s: float = 0.0, report_life_s: float = REPORT_LIFE_S) -> None:
        self._latency_s = latency_s
        self._report_life_s = report_life_s
        self._offset: float | None = None
        """Producer time less time stamp, as two packets agreed on it by a report that counts."""
        self._candidate: float | None = None
        """The same, as the last packet gave it."""
        self._began_anew = False
        """Whether the stream has restarted on this connection."""
        self._reported: float | None = None
        """Time stamp of the first packet by the last report; None if none counts."""
        self._last: tuple[float, float] | None = None
        """Time stamp and arrival of the last packet."""
        self._host_offsets: deque[float] = deque(maxlen=_HOST_WINDOW)

    def stamp(
        self,
        pts_s: float | None,
        produced_at: float | None,
        arrived_at: float,
        *,
        reported: bool = False,
    ) -> Stamp:
        """The capture time of the next packet.

        pts_s: its presentation time in seconds of the stream, if it has one.
        produced_at: its producer reference time (seconds since 1970), if there was a report.
        arrived_at: when it came here, seconds since 1970.
        reported: the demuxer says that a sender report came just before it.
        """
        if pts_s is None:
            return Stamp(arrived_at - self._latency_s, Clock.HOST)
        if self._has_restarted(pts_s, arrived_at):
            self._forget_report()
            # Producer times go on by the report from before, until two of them differ.
            self._candidate, self._began_anew = None, True
            self._host_offsets.clear()
        self._last = pts_s, arrived_at
        self._host_offsets.append(arrived_at - pts_s)
        if produced_at is not None:
            self._learn(produced_at - pts_s, pts_s, reported)
        if self._reported is not None and pts_s - self._reported > self._report_life_s:
            self._forget_report()
        if self._offset is not None:
            return Stamp(pts_s + self._offset, Clock.RTCP)
        # The packet that was delayed least says most about when pictures are taken.
        return Stamp(pts_s + min(self._host_offsets) - self._latency_s, Clock.HOST)

    def _has_restarted(self, pts_s: float, arrived_at: float) -> bool:
        """Whether the time stamps jump. Smaller steps back are the order of B-frames."""
        if self._last is None:
            return False
        step, waited = pts_s - self._last[0], arrived_at - self._last[1]
        return step <= -REORDERED_S or step - waited > _SKIPPED_S

    def _learn(self, offset: float, pts_s: float, reported: bool) -> None:
        last, self._candidate = self._candidate, offset
        first = last is None and not self._began_anew
        moved = last is not None and abs(offset - last) > _SAME_REPORT_S
        if reported or first or moved:
            self._reported = pts_s
        if self._reported is None or last is None:
            return
        if abs(offset - last) <= AGREEMENT_S:
            self._offset = offset

    def _forget_report(self) -> None:
        # The candidate stays: FFmpeg goes on by the old report, and what agrees with it is no news.
        self._offset = self._reported = None

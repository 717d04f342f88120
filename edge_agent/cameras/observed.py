"""What a reader knows of its camera, and what that means to operators."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

from edge_agent.cameras.clock import Clock, Stamp
from edge_agent.cameras.decoding import StreamFormat
from edge_agent.cameras.frames import Problem
from edge_agent.cameras.ring import PacketRing
from edge_agent.config import CamerasSection
from edge_agent.reasons import Reason
from edge_agent.status import CameraState, CameraStatus

_DELAYS: Final = 100
"""Of so many packets in a row one comes without being held up on its way."""
_SETTLE_S: Final = 6.0
"""Sender reports come within so long or not at all; until then capture times are guesses that can
be hundreds of milliseconds off."""


class Observed:
    """The state of one camera's stream. Not thread-safe: its reader holds its lock around it."""

    def __init__(self, camera: str, config: CamerasSection) -> None:
        self.ring: PacketRing[Any] = PacketRing()
        self.format: StreamFormat | None = None
        self.size: tuple[int, int] | None = None
        """Width and height of the pictures that come."""
        self.fault: Problem | None = None
        """Why there is no connection, or none with pictures yet."""
        self.frozen = False
        self.reordered = False
        self.last_packet: float | None = None
        """Monotonic time of the last packet."""
        self._camera = camera
        self._config = config
        self._delay_s = 0.0
        self._delays: deque[float] = deque(maxlen=_DELAYS)
        self._connects = 0
        self._connected_at = 0.0

    def connected(self, form: StreamFormat) -> None:
        """A connection is open; its first packet is still to come."""
        self._connects += 1
        self._connected_at = time.monotonic()
        self.ring.clear()
        self.format = form

    def disconnected(self, problem: Problem) -> None:
        """The connection is over, or there will be none, because of this."""
        self.fault = problem
        self.frozen = self.reordered = False
        self._delays.clear()
        self.ring.clear()

    def arrived(self, packet: Any, stamp: Stamp, at: float, now: float) -> bool:
        """Takes in a packet; True if it is the first after none came.

        at: when it came, seconds since 1970; now: the same, monotonic.
        """
        recovered = self.fault is not None or self.last_packet is None
        self.fault = None
        self.last_packet = now
        self._delay_s = at - stamp.at
        if stamp.clock is Clock.RTCP:
            self._delays.append(self._delay_s)
        else:
            self._delays.clear()
        self.ring.append(packet, stamp, is_key=packet.is_keyframe, size=packet.size)
        return recovered

    def problem(self) -> Problem | None:
        """Why the camera's pictures cannot be used now, or None."""
        if self.fault is not None:
            return self.fault
        age = self._age()
        if age is not None and age > self._config.stall_s:
            return Problem(Reason.STALLED, f"no picture for {age:.1f} s")
        if self.reordered:
            return Problem(
                Reason.REORDERED,
                "pictures come in another order than they were taken in; "
                "switch B-frames off in the camera's video settings",
            )
        expected = (self._config.width, self._config.height)
        if self.size is not None and self.size != expected:
            return Problem(
                Reason.WRONG_SIZE,
                f"{self.size[0]} x {self.size[1]}, expected {expected[0]} x {expected[1]}",
            )
        if self.frozen:
            return Problem(Reason.FROZEN, "the picture has not changed for over a second")
        return None

    def _age(self) -> float | None:
        return None if self.last_packet is None else time.monotonic() - self.last_packet

    def least_delay_s(self) -> float | None:
        """Arrival here less capture by the camera's own clock, of the late packet that came
        fastest, in seconds; None while there is no such clock."""
        return min(self._delays, default=None)

    def status(self, *, armed: bool) -> CameraStatus:
        """How the camera is now."""
        problem = self.problem()
        entries = self.ring.entries
        newest = entries[-1] if entries else None
        keys = [i for i, entry in enumerate(entries) if entry.is_key]
        span = self.ring.interval() * len(entries)
        if problem is not None:
            state = CameraState.TROUBLED
        else:
            settled = newest is not None and (
                newest.stamp.clock is Clock.RTCP
                or time.monotonic() - self._connected_at > _SETTLE_S
            )
            state = CameraState.STREAMING if settled else CameraState.CONNECTING
        return CameraStatus(
            camera=self._camera,
            state=state,
            url=self._config.camera(self._camera).url,
            problem=problem.reason if problem else None,
            detail=problem.detail if problem else None,
            codec=self.format.codec if self.format else None,
            width=self.size[0] if self.size else None,
            height=self.size[1] if self.size else None,
            fps=round(1 / self.ring.interval(), 1) if len(entries) > 1 else None,
            kbit_s=sum(e.size for e in entries) / span / 125 if len(entries) > 1 else None,
            gop=keys[1] - keys[0] if len(keys) > 1 else None,
            clock=newest.stamp.clock if newest else None,
            delay_ms=self._delay_s * 1000 if newest else None,
            last_packet_age_s=self._age(),
            connects=self._connects,
            armed=armed,
        )

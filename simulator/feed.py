"""A virtual camera: which picture it takes at each instant, and what is wrong with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from simulator.video import AccessUnit, Clip, Codec


class Fault(StrEnum):
    """What can be wrong with a camera."""

    NONE = "none"
    STALL = "stall"
    """Pictures stop; the connection and the sender reports go on."""
    FREEZE = "freeze"
    """The same picture again and again, with time stamps that go on."""
    BLACK = "black"
    RESIZE = "resize"
    REFUSE_PASSWORD = "refuse_password"  # noqa: S105 - not a password
    NO_SENDER_REPORTS = "no_sender_reports"
    DISCONNECT = "disconnect"
    """Connections are closed and new ones refused."""


@dataclass(frozen=True)
class CameraSpec:
    """A camera as it was built and mounted.

    latency_ms: capture to first byte on the wire. jitter_ms: standard deviation of what comes on
    top of it. clock_offset_ms: how far the camera's own clock is ahead of the truth. phase_ms:
    when within a frame interval its shutter opens.
    """

    camera: str
    channel: int
    codec: Codec = "h264"
    fps: float = 25.0
    gop: int = 50
    latency_ms: float = 120.0
    jitter_ms: float = 4.0
    clock_offset_ms: float = 0.0
    phase_ms: float = 0.0


@dataclass(frozen=True)
class Shot:
    """One picture on its way: taken at `taken` (true Unix time), on the wire at `due`."""

    unit: AccessUnit
    taken: float
    due: float
    timestamp: int


class Feed:
    """Takes pictures by the wall clock and hands them to listeners after the camera's latency.

    Lives on one asyncio event loop; all methods are to be called there.
    """

    def __init__(
        self, spec: CameraSpec, clip: Clip, epoch: float, now: Callable[[], float]
    ) -> None:
        """epoch: true Unix time at which frame 0 would have been taken, less the phase."""
        self.spec = spec
        self.fault = Fault.NONE
        self.listeners: set[Callable[[Shot], None]] = set()
        self._now = now
        self._first = epoch + spec.phase_ms / 1000
        self._clip = clip
        self._clip_since = self._first
        self._replacement: Clip | None = None
        self._random = random.Random(spec.camera)
        self._last_due = 0.0
        self._restart = False

    @property
    def clip(self) -> Clip:
        """What is played now."""
        return self._replacement or self._clip

    @property
    def scene(self) -> Clip:
        """What is before the camera, whatever it makes of it."""
        return self._clip

    def show(self, clip: Clip, since: float | None = None) -> None:
        """Plays another clip from the next picture on, as if begun at true time `since`."""
        self._clip = clip
        self._clip_since = self._now() if since is None else since
        self._restart = True

    def break_with(self, fault: Fault, replacement: Clip | None = None) -> None:
        """Breaks the camera, or mends it with Fault.NONE.

        replacement: what FREEZE, BLACK and RESIZE show instead of the scene.
        """
        self.fault = fault
        self._replacement = replacement
        self._restart = True

    def camera_time(self, true_time: float) -> float:
        """What the camera's clock shows at a true Unix time."""
        return true_time + self.spec.clock_offset_ms / 1000

    def timestamp(self, true_time: float) -> int:
        """RTP time stamp of a picture taken at a true Unix time."""
        return round((true_time - self._first) * 90_000)

    async def run(self) -> None:
        """Takes pictures until cancelled."""
        number = int((self._now() - self._first) * self.spec.fps) + 1
        while True:
            taken = self._first + number / self.spec.fps
            await asyncio.sleep(max(0.0, taken - self._now()))
            if self.fault is not Fault.STALL:
                self._take(taken)
            number += 1

    def _take(self, taken: float) -> None:
        unit = self._unit(taken)
        jitter = abs(self._random.gauss(0, self.spec.jitter_ms)) / 1000
        due = taken + self.spec.latency_ms / 1000 + jitter
        self._last_due = due = max(due, self._last_due)
        shot = Shot(unit, taken, due, self.timestamp(taken))
        for listener in tuple(self.listeners):
            listener(shot)

    def _unit(self, taken: float) -> AccessUnit:
        # By the clock, so that all cameras show the same moment of their clips; the first picture
        # after `show` is number 0, the tolerance is for rounding.
        index = max(0, int((taken - self._clip_since) * self.spec.fps + 1e-3))
        unit = self.clip.unit(index)
        if self._restart:
            # A picture that refers to one of another clip cannot be decoded: begin with a key.
            while not unit.is_key:
                index += 1
                unit = self.clip.unit(index)
            self._clip_since = taken - index / self.spec.fps
            self._restart = False
        return unit

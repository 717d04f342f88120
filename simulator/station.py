"""A virtual station: four RTSP cameras and a scale on one clock, in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Self, TypeVar

from simulator.feed import CameraSpec, Fault, Feed
from simulator.rtsp import RtspServer
from simulator.scale import Load, Scale
from simulator.scenes import make_fault_clip
from simulator.video import Clip

T = TypeVar("T")

USERNAME: Final = "station"
PASSWORD: Final = "virtual-cane-7"  # noqa: S105 - of a simulator that listens on loopback only

STANDARD_CAMERAS: Final = (
    CameraSpec("C101", 101, "h264", 12.0, 25, 120.0, 3.0, clock_offset_ms=-8.0, phase_ms=11.0),
    CameraSpec("C201", 201, "hevc", 12.0, 25, 180.0, 9.0, clock_offset_ms=5.0, phase_ms=29.0),
    CameraSpec("C301", 301, "h264", 25.0, 50, 250.0, 6.0, clock_offset_ms=2.0, phase_ms=3.0),
    CameraSpec("C401", 401, "h264", 25.0, 100, 400.0, 12.0, clock_offset_ms=-4.0, phase_ms=18.0),
)
"""Four cameras as a station has them: of several makes and settings.

C401 has the longest GOP that is to be expected: as a camera for evidence, it may take longer to
decode than C301, whose picture the grade waits for.
"""

UNIFORM_CAMERAS: Final = tuple(
    CameraSpec(camera, channel, "h264", 25.0, 50, latency, phase_ms=phase)
    for camera, channel, latency, phase in (
        ("C101", 101, 120.0, 0.0),
        ("C201", 201, 180.0, 9.0),
        ("C301", 301, 250.0, 18.0),
        ("C401", 401, 400.0, 28.0),
    )
)
"""Four equal cameras with right clocks, for measuring: only their latencies differ."""


class VirtualStation:
    """Cameras and scale, controlled from any thread; a context manager that starts and stops."""

    def __init__(
        self,
        specs: tuple[CameraSpec, ...],
        clips: Mapping[str, Clip],
        *,
        username: str | None = USERNAME,
        password: str | None = PASSWORD,
        rtsp_port: int = 0,
        scale_port: int = 0,
        first_report_delay_s: float = 0.0,
    ) -> None:
        """clips: what each camera shows at first. Ports of 0 are chosen by the system."""
        epoch = time.time()
        self.feeds = {s.camera: Feed(s, clips[s.camera], epoch, time.time) for s in specs}
        self.rtsp = RtspServer(
            {feed.spec.channel: feed for feed in self.feeds.values()},
            time.time,
            username,
            password,
            first_report_delay_s,
        )
        self.scale = Scale(time.time)
        self._ports = (rtsp_port, scale_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="station", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self.rtsp.start(port=self._ports[0]))
        self._call(self.scale.start(port=self._ports[1]))
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self.rtsp.stop())
        self._call(self.scale.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def url(self, camera: str) -> str:
        """The camera's address, without user name and password."""
        channel = self.feeds[camera].spec.channel
        return f"rtsp://127.0.0.1:{self.rtsp.port}/Streaming/Channels/{channel}"

    def show(self, clips: Mapping[str, Clip]) -> None:
        """Plays other clips, all begun at the same moment."""
        since = time.time()

        async def switch() -> None:
            for camera, clip in clips.items():
                self.feeds[camera].show(clip, since)

        self._call(switch())

    def put_on_scale(self, weight_kg: float, *, rest_after_s: float) -> None:
        """A truck drives onto the scale now and comes to rest after that many seconds."""
        now = time.time()
        self.scale.load = Load(weight_kg, now, now + rest_after_s, float("inf"))

    def take_off_scale(self) -> None:
        """The truck drives off now."""
        load = self.scale.load
        if load is not None:
            self.scale.load = Load(load.weight_kg, load.arrives, load.rests, time.time())

    def break_camera(self, camera: str, fault: Fault) -> None:
        """Breaks a camera, or mends it with Fault.NONE. Encodes what it is to show first."""
        feed = self.feeds[camera]
        clip = make_fault_clip(fault, feed.scene, feed.spec.gop)

        async def switch() -> None:
            feed.break_with(fault, clip)

        self._call(switch())

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30.0)

"""The station's four cameras together."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from edge_agent.cameras.clock_errors import clock_errors
from edge_agent.cameras.frames import GRADED_CAMERA, FrameSet, Problem, TimedFrame
from edge_agent.cameras.login import Login
from edge_agent.cameras.reader import CameraReader
from edge_agent.config import CAMERA_IDS, CamerasSection
from edge_agent.errors import CameraError
from edge_agent.reasons import Reason
from edge_agent.status import CameraState, CameraStatus

log = logging.getLogger(__name__)


class Cameras:
    """Four readers that answer for one instant."""

    def __init__(
        self, config: CamerasSection, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._config = config
        # The graded camera first: the machine's cores go to it before the evidence.
        order = (GRADED_CAMERA, *(c for c in CAMERA_IDS if c != GRADED_CAMERA))
        logins: defaultdict[tuple[str, str | None], Login] = defaultdict(Login)
        self.readers = {
            camera: CameraReader(camera, config, on_change, logins[config.account(camera)])
            for camera in order
        }
        self._pool = ThreadPoolExecutor(len(order), thread_name_prefix="frames")

    def start(self) -> None:
        """Starts all readers."""
        for reader in self.readers.values():
            reader.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stops all readers; waits for each at most that long."""
        for reader in self.readers.values():
            reader.stop(timeout_s)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def arm(self, armed: bool) -> None:
        """Decode as pictures come while a truck is on the scale, or stop it."""
        for reader in self.readers.values():
            reader.arm(armed)

    def status(self) -> tuple[CameraStatus, ...]:
        """Each camera's state, in the order of their names."""
        errors = self._clock_errors()
        return tuple(
            self._with_clock(self.readers[camera].status(), errors.get(camera))
            for camera in CAMERA_IDS
        )

    def _clock_errors(self) -> dict[str, float]:
        delays = {camera: reader.least_delay_s() for camera, reader in self.readers.items()}
        known = {camera: delay for camera, delay in delays.items() if delay is not None}
        limit_s = self._config.max_clock_error_ms / 1000
        return clock_errors(known, limit_s, slowest_s=self._slowest_s)

    @property
    def _slowest_s(self) -> float:
        """Pictures that take longer come too late for every truck."""
        return self._config.wait_s + self._config.max_error_ms / 1000

    def _with_clock(self, status: CameraStatus, error_s: float | None) -> CameraStatus:
        if error_s is None or status.problem is not None:
            return status
        problem = _clock_problem(error_s)
        state = CameraState.TROUBLED if self._refuses(status.camera, error_s) else status.state
        return replace(status, state=state, problem=problem.reason, detail=problem.detail)

    def _refuses(self, camera: str, error_s: float) -> bool:
        """Only the graded camera's clock can refuse a truck, and only beyond the limit."""
        limit_s = min(self._config.max_clock_error_ms / 1000, self._slowest_s)
        return camera == GRADED_CAMERA and abs(error_s) > limit_s

    def frames_at(
        self, instant: datetime, on_frame: Callable[[TimedFrame], None] = lambda _: None
    ) -> FrameSet:
        """The frames nearest to `instant` (UTC) of all cameras; never raises for one of them.

        on_frame is called with each frame as soon as it is there, from another thread, so that
        work on early ones need not wait for the slowest camera.
        """
        deadline = time.monotonic() + self._config.wait_s

        def take(reader: CameraReader) -> TimedFrame:
            frame = reader.frame_at(instant, deadline)
            on_frame(frame)
            return frame

        pending: dict[str, Future[TimedFrame]] = {
            camera: self._pool.submit(take, reader) for camera, reader in self.readers.items()
        }
        frames: dict[str, TimedFrame] = {}
        problems: dict[str, Problem] = {}
        for camera, future in pending.items():
            try:
                frames[camera] = future.result()
            except CameraError as error:
                problems[camera] = Problem(Reason(error.reason), str(error))
            except Exception as error:  # the other cameras' frames must not be lost by it
                log.exception("%s: its frame failed", camera)
                problems[camera] = Problem(Reason.INTERNAL, type(error).__name__)
        for camera, error_s in self._clock_errors().items():
            if camera != GRADED_CAMERA or self._refuses(camera, error_s):
                problems[camera] = _clock_problem(error_s)
                log.warning("%s: %s", camera, problems[camera].detail)
        return FrameSet(instant, MappingProxyType(frames), MappingProxyType(problems))


def _clock_problem(error_s: float) -> Problem:
    off = f"{abs(error_s):.1f}" if abs(error_s) < 100 else f"{abs(error_s):.0f}"
    way = "ahead" if error_s > 0 else "behind"
    return Problem(
        Reason.CLOCK, f"clock is off by about {off} s ({way}); set NTP on the camera and this PC"
    )

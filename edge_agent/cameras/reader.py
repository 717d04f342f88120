"""One camera's reader: a thread that demuxes; nothing is decoded until a truck needs it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from av.error import FFmpegError

from edge_agent.cameras.ahead import DecodeAhead
from edge_agent.cameras.backoff import Backoff
from edge_agent.cameras.clock import CaptureClock, Clock
from edge_agent.cameras.connection import brings_report, explain, open_stream, produced_at
from edge_agent.cameras.decoding import Decoded, Sequencer, StreamFormat, decode_last
from edge_agent.cameras.frames import Problem, TimedFrame
from edge_agent.cameras.frozen import FreezeWatch
from edge_agent.cameras.login import Login
from edge_agent.cameras.observed import Observed
from edge_agent.cameras.order import OrderWatch
from edge_agent.cameras.parameter_sets import parameter_sets
from edge_agent.cameras.ring import Entry
from edge_agent.config import CamerasSection
from edge_agent.errors import CameraError
from edge_agent.reasons import TEXTS, Reason
from edge_agent.status import CameraStatus

log = logging.getLogger(__name__)

CODECS: Final = ("h264", "hevc")
_ASK_AGAIN_S: Final = 1.0
_RESTS_ON: Final = {
    Clock.RTCP: "own clock, by its sender reports",
    Clock.HOST: "pictures' arrival here: there is no sender report that counts",
}


class CameraReader:
    """Keeps the last packets of a camera and answers with the frame of an instant. Thread-safe."""

    def __init__(
        self,
        camera: str,
        config: CamerasSection,
        on_change: Callable[[], None] = lambda: None,
        login: Login | None = None,
    ) -> None:
        """on_change is called, from the reader's thread, when the camera's state changes.

        login: shared with the other cameras of the same account.
        """
        self.camera = camera
        self._login = login or Login()
        self._config = config
        self._url = config.camera(camera).url
        self._on_change = on_change
        self._stop = threading.Event()
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._seen = Observed(camera, config)
        self._ahead = DecodeAhead(
            camera, lock, self._changed, self._seen.ring, lambda: self._seen.format
        )
        self._thread = threading.Thread(target=self._read, name=f"{camera}-read", daemon=True)

    def start(self) -> None:
        """Starts connecting."""
        self._thread.start()
        self._ahead.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stops reading; waits for the threads at most that long."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        self._ahead.stop(timeout_s)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def arm(self, armed: bool) -> None:
        """From now on decode pictures as they come, so that an answer is ready; or stop it."""
        self._ahead.arm(armed)

    # ---- what operators see

    def problem(self) -> Problem | None:
        """Why the camera's pictures cannot be used now, or None."""
        with self._changed:
            return self._seen.problem()

    def least_delay_s(self) -> float | None:
        """Arrival here less capture by the camera's own clock, of the late packet that came
        fastest, in seconds; None while there is no such clock."""
        with self._changed:
            return self._seen.least_delay_s()

    def packets(self) -> int:
        """How many packets have come, over all connections, from each one's first keyframe on."""
        with self._changed:
            return self._seen.ring.count

    def status(self) -> CameraStatus:
        """How the camera is now."""
        with self._changed:
            return self._seen.status(armed=self._ahead.armed)

    # ---- what the pipeline asks

    def frame_at(self, instant: datetime, deadline: float) -> TimedFrame:
        """The frame taken nearest to `instant`.

        Waits until monotonic time `deadline` for pictures from the instant on to arrive.
        Raises CameraError if there is none, with the camera's problem as the reason.
        """
        wanted, began = instant.timestamp(), time.monotonic()
        self._ahead.want(wanted)
        try:
            target = self._await_target(wanted, deadline)
            waited = time.monotonic() - began
            decoded = self._ahead.find(target, deadline) or self._from_ring(target)
        finally:
            self._ahead.want(None)
        return TimedFrame(
            camera=self.camera,
            frame=decoded.frame,
            captured_at=datetime.fromtimestamp(target.stamp.at, UTC),
            clock=target.stamp.clock,
            error_ms=(target.stamp.at - wanted) * 1000,
            repeats=decoded.repeats,
            waited_ms=waited * 1000,
        )

    def _await_target(self, wanted: float, deadline: float) -> Entry[Any]:
        with self._changed:
            while True:
                problem = self._seen.problem()
                if problem is not None:
                    raise CameraError(self.camera, problem.reason, problem.detail)
                newest = self._seen.ring.newest
                # Half an interval before the instant, no later picture can be nearer to it.
                if newest and newest.stamp.at >= wanted - self._seen.ring.interval() / 2:
                    break
                left = deadline - time.monotonic()
                if left <= 0 or self._stop.is_set():
                    break
                self._changed.wait(min(left, 0.25))
            target = self._seen.ring.nearest(wanted)
        if target is None:
            raise CameraError(self.camera, Reason.NO_FRAME, TEXTS[Reason.NO_FRAME])
        return target

    def _from_ring(self, target: Entry[Any]) -> Decoded:
        with self._changed:
            run, form = self._seen.ring.run_up(target), self._seen.format
        try:
            decoded = decode_last(form, run, threads=2) if form and run else None
        except FFmpegError as error:
            raise CameraError(
                self.camera, Reason.UNDECODABLE, f"decoder: {type(error).__name__}"
            ) from None
        if decoded is None:
            raise CameraError(self.camera, Reason.UNDECODABLE, TEXTS[Reason.UNDECODABLE])
        return decoded

    # ---- the reading thread

    def _read(self) -> None:
        backoff = Backoff()
        while self._await_turn():
            problem = self._read_once(backoff)
            shared = self._login.ended(self.camera, problem.reason)
            if self._stop.is_set():
                return
            self._set_fault(problem)
            wait = self._login.ask(self.camera) if shared else backoff.failed(problem.reason)
            log.warning(
                "%s: %s (%s); next attempt in %.0f s",
                self.camera,
                TEXTS[problem.reason],
                problem.detail,
                wait,
            )
            self._stop.wait(wait)

    def _await_turn(self) -> bool:
        """Waits until the account may be tried; False if the reader is to stop."""
        while not self._stop.is_set():
            wait = self._login.ask(self.camera)
            if wait <= 0:
                return True
            refused = self._login.refused()
            told = self._seen.fault is not None and self._seen.fault.reason is Reason.UNAUTHORIZED
            if refused is not None and not told:
                detail = f"not tried, {refused} was refused; check cameras.credentials"
                self._set_fault(Problem(Reason.UNAUTHORIZED, detail))
            self._stop.wait(min(wait, _ASK_AGAIN_S))
        return False

    def _read_once(self, backoff: Backoff) -> Problem:
        """Connects and reads until it ends; returns why it did."""
        began = time.monotonic()
        try:
            url = self._config.url_with_credentials(self.camera)
            with open_stream(url, self._config) as container:
                self._login.opened(self.camera)
                if not container.streams.video:
                    return Problem(Reason.WRONG_CODEC, "no video in the stream")
                stream = container.streams.video[0]
                codec = stream.codec_context.name
                if codec not in CODECS:
                    return Problem(Reason.WRONG_CODEC, f"{codec}; set the camera to H.264 or H.265")
                with self._changed:
                    self._seen.connected(StreamFormat(codec, stream.codec_context.extradata))
                self._consume(container, stream, backoff)
            return Problem(Reason.UNREACHABLE, f"{self._url} ended the stream")
        except Exception as error:  # noqa: BLE001 - the reader must outlive any fault
            # FFmpeg's texts hold the URL with its password: only the kind of error is told.
            streamed = self._seen.last_packet is not None and self._seen.last_packet >= began
            return explain(error, self._url, was_streaming=streamed)

    def _consume(self, container: Any, stream: Any, backoff: Backoff) -> None:
        clock = CaptureClock(self._config.camera(self.camera).latency_ms / 1000)
        freeze, order = FreezeWatch(self._newest_repeats), OrderWatch()
        pixels, second = self._config.width * self._config.height, float(stream.time_base)
        sets: bytes | None = None
        kind: Clock | None = None
        for packet in container.demux(stream):
            if self._stop.is_set():
                return
            if packet.size == 0:
                continue
            arrived, now = time.time(), time.monotonic()
            pts_s = None if packet.pts is None else packet.pts * second
            stamp = clock.stamp(pts_s, produced_at(packet), arrived, reported=brings_report(packet))
            if packet.is_keyframe:
                current = parameter_sets(bytes(packet), stream.codec_context.name)
                if current != sets and self._learn_size(packet):
                    sets = current
            with self._changed:
                recovered = self._seen.arrived(packet, stamp, arrived, now)
                self._changed.notify_all()
            if recovered:
                backoff.succeeded()
                log.info("%s: pictures come", self.camera)
                self._on_change()
            if pts_s is not None and stamp.clock is not kind:
                log.info("%s: capture times rest on its %s", self.camera, _RESTS_ON[stamp.clock])
                kind = stamp.clock
            self._set_frozen(freeze.see(now, packet.size, pixels, is_key=packet.is_keyframe))
            self._set_reordered(order.see(pts_s))

    def _learn_size(self, packet: Any) -> bool:
        """Decodes a keyframe to see how large pictures are now; False if it cannot be decoded."""
        assert self._seen.format is not None  # noqa: S101 - set on connecting
        try:
            sequencer = Sequencer(self._seen.format)
            entry = Entry(packet, CaptureClock().stamp(None, None, 0.0), True, packet.size, 0)
            pictures = sequencer.decode(entry) or sequencer.flush()
        except FFmpegError:
            return False
        if pictures:
            frame = pictures[0][1].frame
            with self._changed:
                changed = self._seen.size not in (None, (frame.width, frame.height))
                self._seen.size = (frame.width, frame.height)
                if changed:
                    # Earlier pictures cannot be told apart from these by their capture times.
                    self._seen.ring.clear()
            if changed:
                log.warning("%s: picture size is now %d x %d", self.camera, *self._seen.size)
                self._on_change()
        return bool(pictures)

    def _newest_repeats(self) -> bool:
        with self._changed:
            newest = self._seen.ring.newest
            run, form = (self._seen.ring.run_up(newest) if newest else []), self._seen.format
        if not form or len(run) < 2:
            return False
        try:
            decoded = decode_last(form, run, threads=1)
        except FFmpegError:
            return False
        return bool(decoded and decoded.repeats)

    def _set_frozen(self, frozen: bool) -> None:
        if frozen != self._seen.frozen:
            with self._changed:
                self._seen.frozen = frozen
            log.warning("%s: %s", self.camera, "picture is frozen" if frozen else "picture moves")
            self._on_change()

    def _set_reordered(self, reordered: bool) -> None:
        if reordered != self._seen.reordered:
            with self._changed:
                self._seen.reordered = reordered
                self._changed.notify_all()
            log.warning("%s: %s", self.camera, "sends B-frames" if reordered else "no B-frames")
            self._on_change()

    def _set_fault(self, problem: Problem) -> None:
        with self._changed:
            self._seen.disconnected(problem)
            self._ahead.clear()
            self._changed.notify_all()
        self._on_change()

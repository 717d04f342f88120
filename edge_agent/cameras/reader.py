"""One camera's reader: a thread that demuxes; nothing is decoded until a truck needs it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from av.error import FFmpegError

from edge_agent.cameras.ahead import DecodeAhead
from edge_agent.cameras.backoff import Backoff
from edge_agent.cameras.clock import CaptureClock, Clock
from edge_agent.cameras.connection import explain, open_stream, produced_at
from edge_agent.cameras.decoding import Decoded, Sequencer, StreamFormat, decode_last
from edge_agent.cameras.frames import Problem, TimedFrame
from edge_agent.cameras.frozen import FreezeWatch
from edge_agent.cameras.login import Login
from edge_agent.cameras.parameter_sets import parameter_sets
from edge_agent.cameras.ring import Entry, PacketRing
from edge_agent.config import CamerasSection
from edge_agent.errors import CameraError
from edge_agent.reasons import TEXTS, Reason
from edge_agent.status import CameraState, CameraStatus

log = logging.getLogger(__name__)

CODECS: Final = ("h264", "hevc")
_DELAYS: Final = 100
"""Of so many packets in a row one comes without being held up on its way."""
_ASK_AGAIN_S: Final = 1.0
_SETTLE_S: Final = 6.0
"""Sender reports come within so long or not at all; until then capture times are guesses that can
be hundreds of milliseconds off."""


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
        self._changed = threading.Condition()
        self._ring: PacketRing[Any] = PacketRing()
        self._format: StreamFormat | None = None
        self._size: tuple[int, int] | None = None
        self._fault: Problem | None = None
        self._frozen = False
        self._last_packet: float | None = None
        self._delay_s = 0.0
        self._delays: deque[float] = deque(maxlen=_DELAYS)
        self._connects = 0
        self._connected_at = 0.0
        self._ahead = DecodeAhead(camera, self._changed, self._ring, lambda: self._format)
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
            return self._problem()

    def _problem(self) -> Problem | None:
        if self._fault is not None:
            return self._fault
        age = self._age()
        if age is not None and age > self._config.stall_s:
            return Problem(Reason.STALLED, f"no picture for {age:.1f} s")
        expected = (self._config.width, self._config.height)
        if self._size is not None and self._size != expected:
            return Problem(
                Reason.WRONG_SIZE,
                f"{self._size[0]} x {self._size[1]}, expected {expected[0]} x {expected[1]}",
            )
        if self._frozen:
            return Problem(Reason.FROZEN, "the picture has not changed for over a second")
        return None

    def _age(self) -> float | None:
        return None if self._last_packet is None else time.monotonic() - self._last_packet

    def least_delay_s(self) -> float | None:
        """Arrival here less capture by the camera's own clock, of the late packet that came
        fastest, in seconds; None while there is no such clock."""
        with self._changed:
            return min(self._delays, default=None)

    def status(self) -> CameraStatus:
        """How the camera is now."""
        with self._changed:
            problem = self._problem()
            entries = self._ring.entries
            newest = entries[-1] if entries else None
            span = newest.stamp.at - entries[0].stamp.at if newest else 0.0
            keys = [i for i, entry in enumerate(entries) if entry.is_key]
            if problem is not None:
                state = CameraState.TROUBLED
            else:
                settled = newest is not None and (
                    newest.stamp.clock is Clock.RTCP
                    or time.monotonic() - self._connected_at > _SETTLE_S
                )
                state = CameraState.STREAMING if settled else CameraState.CONNECTING
            return CameraStatus(
                camera=self.camera,
                state=state,
                url=self._url,
                problem=problem.reason if problem else None,
                detail=problem.detail if problem else None,
                codec=self._format.codec if self._format else None,
                width=self._size[0] if self._size else None,
                height=self._size[1] if self._size else None,
                fps=round(1 / self._ring.interval(), 1) if len(entries) > 1 else None,
                kbit_s=sum(e.size for e in entries) / span / 125 if span > 0 else None,
                gop=keys[1] - keys[0] if len(keys) > 1 else None,
                clock=newest.stamp.clock if newest else None,
                delay_ms=self._delay_s * 1000 if newest else None,
                last_packet_age_s=self._age(),
                connects=self._connects,
                armed=self._ahead.armed,
            )

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
                problem = self._problem()
                if problem is not None:
                    raise CameraError(self.camera, problem.reason, problem.detail)
                newest = self._ring.newest
                # Half an interval before the instant, no later picture can be nearer to it.
                if newest and newest.stamp.at >= wanted - self._ring.interval() / 2:
                    break
                left = deadline - time.monotonic()
                if left <= 0 or self._stop.is_set():
                    break
                self._changed.wait(min(left, 0.25))
            target = self._ring.nearest(wanted)
        if target is None:
            raise CameraError(self.camera, Reason.NO_FRAME, TEXTS[Reason.NO_FRAME])
        return target

    def _from_ring(self, target: Entry[Any]) -> Decoded:
        with self._changed:
            run, form = self._ring.run_up(target), self._format
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
            told = self._fault is not None and self._fault.reason is Reason.UNAUTHORIZED
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
                    self._connects += 1
                    self._connected_at = time.monotonic()
                    self._ring.clear()
                    self._format = StreamFormat(codec, stream.codec_context.extradata)
                self._consume(container, stream, backoff)
            return Problem(Reason.UNREACHABLE, f"{self._url} ended the stream")
        except Exception as error:  # noqa: BLE001 - the reader must outlive any fault
            # FFmpeg's texts hold the URL with its password: only the kind of error is told.
            streamed = self._last_packet is not None and self._last_packet >= began
            return explain(error, self._url, was_streaming=streamed)

    def _consume(self, container: Any, stream: Any, backoff: Backoff) -> None:
        clock = CaptureClock(self._config.camera(self.camera).latency_ms / 1000)
        freeze = FreezeWatch(self._newest_repeats)
        sets: bytes | None = None
        for packet in container.demux(stream):
            if self._stop.is_set():
                return
            if packet.size == 0:
                continue
            arrived, now = time.time(), time.monotonic()
            pts_s = None if packet.pts is None else float(packet.pts * packet.time_base)
            stamp = clock.stamp(pts_s, produced_at(packet), arrived)
            if packet.is_keyframe:
                current = parameter_sets(bytes(packet), str(self._format and self._format.codec))
                if current != sets and self._learn_size(packet):
                    sets = current
            with self._changed:
                recovered = self._fault is not None or self._last_packet is None
                self._fault = None
                self._last_packet = now
                self._delay_s = arrived - stamp.at
                if stamp.clock is Clock.RTCP:
                    self._delays.append(self._delay_s)
                else:
                    self._delays.clear()
                self._ring.append(packet, stamp, is_key=packet.is_keyframe, size=packet.size)
                self._changed.notify_all()
            if recovered:
                backoff.succeeded()
                log.info("%s: pictures come", self.camera)
                self._on_change()
            pixels = self._config.width * self._config.height
            self._set_frozen(freeze.see(now, packet.size, pixels, is_key=packet.is_keyframe))

    def _learn_size(self, packet: Any) -> bool:
        """Decodes a keyframe to see how large pictures are now; False if it cannot be decoded."""
        assert self._format is not None  # noqa: S101 - set on connecting
        try:
            sequencer = Sequencer(self._format)
            entry = Entry(packet, CaptureClock().stamp(None, None, 0.0), True, packet.size, 0)
            pictures = sequencer.decode(entry) or sequencer.flush()
        except FFmpegError:
            return False
        if pictures:
            frame = pictures[0][1].frame
            with self._changed:
                changed = self._size not in (None, (frame.width, frame.height))
                self._size = (frame.width, frame.height)
                if changed:
                    # Earlier pictures cannot be told apart from these by their capture times.
                    self._ring.clear()
            if changed:
                log.warning("%s: picture size is now %d x %d", self.camera, *self._size)
                self._on_change()
        return bool(pictures)

    def _newest_repeats(self) -> bool:
        with self._changed:
            newest = self._ring.newest
            run, form = (self._ring.run_up(newest) if newest else []), self._format
        if not form or len(run) < 2:
            return False
        try:
            decoded = decode_last(form, run, threads=1)
        except FFmpegError:
            return False
        return bool(decoded and decoded.repeats)

    def _set_frozen(self, frozen: bool) -> None:
        if frozen != self._frozen:
            with self._changed:
                self._frozen = frozen
            log.warning("%s: %s", self.camera, "picture is frozen" if frozen else "picture moves")
            self._on_change()

    def _set_fault(self, problem: Problem) -> None:
        with self._changed:
            self._fault = problem
            self._frozen = False
            self._delays.clear()
            self._ring.clear()
            self._ahead.clear()
            self._changed.notify_all()
        self._on_change()

"""Scripted packets through the real reader: what comes late, wrong, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from typing import cast

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scripted_camera import (
    EPOCH,
    FPS,
    FRAME,
    LATENCY,
    LOOP,
    ScriptedCamera,
    Shot,
    at,
    clip,
    number_in,
    reading,
    shots,
    taken,
)
from virtual import HEIGHT, WIDTH, clock_pictures

from edge_agent.cameras.clock import REPORT_LIFE_S, Clock
from edge_agent.errors import CameraError
from edge_agent.reasons import Reason
from edge_agent.status import CameraState
from simulator.video import AccessUnit, encode


@pytest.mark.parametrize("armed", [False, True])
def test_a_frame_that_comes_after_it_was_asked_for(armed: bool) -> None:
    with reading() as (camera, reader), ThreadPoolExecutor(1) as pool:
        reader.arm(armed)
        camera.play(shots(*range(10)))
        asked = pool.submit(at, reader, taken(12), 20.0)
        camera.play(shots(10, 11))
        assert not asked.done()
        camera.play(shots(12, 13))
        frame = asked.result()
        assert number_in(frame) == 12
        assert (frame.clock, round(frame.error_ms, 2)) == (Clock.RTCP, 0.0)


def test_a_frame_that_does_not_come_in_time_is_told_by_its_error() -> None:
    with reading() as (camera, reader):
        camera.play(shots(*range(10)))
        frame = at(reader, taken(12))
        assert number_in(frame) == 9
        assert frame.error_ms == pytest.approx(-3 * FRAME * 1000, abs=0.1)


def test_packets_without_time_stamps_rest_on_their_arrival() -> None:
    with reading() as (camera, reader):
        plain = shots(*range(16))
        for n in (0, 12, 13):
            plain[n] = replace(plain[n], pts=None, produced=None)
        camera.play(plain[:1])
        assert number_in(at(reader, taken(0))) == 0
        camera.play(plain[1:14])
        assert reader.status().clock == "host"
        frame = at(reader, taken(13) + LATENCY)
        assert (frame.clock, number_in(frame)) == (Clock.HOST, 13)
        camera.play(plain[14:])
        frame = at(reader, taken(15))
        assert (frame.clock, number_in(frame)) == (Clock.RTCP, 15)


def test_without_sender_reports_the_latency_is_taken_off() -> None:
    url = {"url": "rtsp://127.0.0.1:1/x", "latency_ms": LATENCY * 1000}
    with reading(C301=url) as (camera, reader):
        camera.play(shots(*range(20), clock=False))
        for n in (16, 19):
            frame = at(reader, taken(n))
            assert (frame.clock, number_in(frame)) == (Clock.HOST, n)
            assert frame.error_ms == pytest.approx(0.0, abs=0.1)


def test_after_the_first_report_no_guess_beats_the_cameras_clock() -> None:
    """Both kinds of stamps are in the ring: those by arrival are late by the latency."""
    with reading() as (camera, reader):
        camera.play(shots(*range(16), clock=False))
        assert at(reader, taken(15) + LATENCY).clock is Clock.HOST
        late, *right = shots(*range(16, 24))
        # The packet after the report has the producer time of the next one.
        camera.play([replace(late, produced=taken(17)), *right])
        assert reader.status().clock == "rtcp"
        assert reader.status().fps == FPS
        for n in (18, 19, 20, 21):
            for off in (-0.012, 0.0, 0.012):
                frame = at(reader, taken(n) + off)
                assert (frame.clock, number_in(frame)) == (Clock.RTCP, n)


@pytest.mark.parametrize("again", [False, True])
def test_a_report_that_is_too_old_counts_no_more(again: bool) -> None:
    """Unless there is another, even one that says just the same."""
    with reading() as (camera, reader):
        # Two pictures a second are enough to let the time pass.
        ends = round(REPORT_LIFE_S * FPS)
        camera.play(shots(*range(0, ends // 2, 12)))
        camera.play([replace(shot, reported=again) for shot in shots(ends // 2)])
        camera.play(shots(*range(ends // 2 + 12, ends + 1, 12)))
        assert reader.status().clock == "rtcp"
        camera.play(shots(*range(ends + 12, ends + 30)))
        clock = Clock.RTCP if again else Clock.HOST
        assert reader.status().clock == clock
        assert reader.problem() is None
        frame = at(reader, taken(ends + 29) + (0 if again else LATENCY))
        assert (frame.clock, number_in(frame)) == (clock, (ends + 29) % LOOP)


def test_another_size_in_mid_stream() -> None:
    corners = [picture[:360, :320] for picture in clock_pictures(0.4, FPS)]  # 240 rows of luma
    small = encode([], corners, codec="h264", fps=FPS, gop=5)
    with reading() as (camera, reader):
        camera.play(shots(*range(10)))
        camera.play([replace(s, unit=small.unit(n)) for n, s in enumerate(shots(*range(10, 20)))])
        status = reader.status()
        assert (status.state, status.problem) == (CameraState.TROUBLED, Reason.WRONG_SIZE)
        assert (status.width, status.height) == (320, 240)
        with pytest.raises(CameraError, match="320 x 240, expected 640 x 480"):
            at(reader, taken(12))
        camera.play(shots(*range(25, 30)))
        assert reader.status().state is CameraState.STREAMING
        # What was taken before in the other size is gone.
        assert number_in(at(reader, taken(12))) == 0
        assert number_in(at(reader, taken(27))) == 2


def b_frames() -> list[Shot]:
    """Really coded with two B-frames between the others, in the order they are sent."""
    context = cast("VideoCodecContext", av.CodecContext.create("libx264", "w"))
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = 1 / Fraction(FPS), Fraction(FPS)
    context.max_b_frames = 2
    context.options = {"preset": "ultrafast", "x264-params": "b-adapt=0:keyint=8:scenecut=0"}
    coded = []
    for index, pixels in enumerate(clock_pictures(LOOP / FPS, FPS)):
        frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        frame.pts = index
        coded += context.encode(frame)
    coded += context.encode(None)
    numbers = [packet.pts or 0 for packet in coded]
    assert numbers != sorted(numbers)
    return [
        # Without its first start code, a coded picture can stand for one NAL unit.
        replace(shot, unit=AccessUnit((bytes(p)[4:],), p.is_keyframe), arrived=taken(i + 3))
        for i, (shot, p) in enumerate(zip(shots(*numbers), coded, strict=True))
    ]


def test_b_frames_are_told_with_the_cure() -> None:
    with reading() as (camera, reader):
        camera.play(b_frames())
        status = reader.status()
        assert (status.state, status.problem) == (CameraState.TROUBLED, Reason.REORDERED)
        assert "switch B-frames off" in str(status.detail)
        assert status.clock == "rtcp"
        with pytest.raises(CameraError, match="B-frames"):
            at(reader, taken(20))
        # They are switched off, and the camera goes on without a new connection.
        camera.play(shots(*range(LOOP, LOOP + 110)))
        assert reader.problem() is None
        assert number_in(at(reader, taken(LOOP + 108))) == 108 % LOOP


class Story:
    """A camera to which things happen; its producer times are FFmpeg's, by the last report."""

    def __init__(self, camera: ScriptedCamera) -> None:
        self.camera = camera
        self.shots: list[Shot] = []
        self._elapsed, self._base = 0.0, 5000.0
        self._offset: float | None = None

    def tell(self, event: str, pictures: int, jitters: Sequence[float]) -> None:
        """Something happens, then so many pictures come."""
        self._base += {"restart": -700.0, "leap": 3600.0}.get(event, 0.0)
        self._elapsed += REPORT_LIFE_S + 10.0 if event == "silence" else 0.0
        for i in range(pictures):
            self._shoot(event, i == 0, jitters[i % len(jitters)])

    def _shoot(self, event: str, first: bool, jitter: float) -> None:
        number = len(self.shots)
        self._elapsed += FRAME
        at, pts, late = EPOCH + self._elapsed, self._base + self._elapsed, 0.0
        report = first and event == "report"
        if report:
            late = FRAME if self._offset is None else 0.0
            # Cameras round to ticks: no two reports say quite the same.
            self._offset = at - pts + (number % 7) * 1e-5
        self.shots.append(
            Shot(
                unit=clip().unit(number),
                taken=at,
                pts=None if event == "no time stamp" else pts,
                produced=None if self._offset is None else pts + self._offset + late,
                arrived=at + LATENCY + jitter,
                # FFmpeg does not tell of every report.
                reported=report and number % 2 == 0,
            )
        )
        self.camera.play(self.shots[-1:])

    def taken(self, picture: int) -> float:
        """When the newest of the pictures that look like this one was taken."""
        return self.shots[len(self.shots) - 1 - (len(self.shots) - 1 - picture) % LOOP].taken


@settings(deadline=None, max_examples=25)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["plain", "report", "no time stamp", "restart", "leap", "silence"]),
            st.integers(1, 9),
        ),
        min_size=1,
        max_size=8,
    ),
    jitters=st.lists(st.floats(0.0, 0.03), min_size=1, max_size=7),
)
@example(events=[("report", 1), ("restart", 2)], jitters=[0.0])  # before two packets had agreed
def test_a_frame_is_as_old_as_its_clock_says(
    events: list[tuple[str, int]], jitters: list[float]
) -> None:
    """Whatever comes: the camera's clock is right, and a guess lies between truth and arrival."""
    with reading() as (camera, reader):
        story = Story(camera)
        for event, pictures in events:
            story.tell(event, pictures, jitters)
            assert reader.problem() is None
            newest, status = story.shots[-1], reader.status()
            assert status.delay_ms is not None
            stamped = [(status.clock, newest.arrived - status.delay_ms / 1000, newest.taken)]
            for instant in (newest.taken, newest.arrived):
                frame = at(reader, instant)
                captured = frame.captured_at.timestamp()
                stamped.append((frame.clock, captured, story.taken(number_in(frame))))
            for clock, captured, truth in stamped:
                if clock == Clock.RTCP:
                    assert captured == pytest.approx(truth, abs=1e-3)
                else:
                    delay = captured - truth - LATENCY
                    assert -1e-3 <= delay <= max(jitters) + 1e-3

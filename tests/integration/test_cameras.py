"""Cameras over real RTSP on loopback: true skew, both ways of decoding, and every fault."""

from __future__ import annotations

import logging
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from spoiled import spoil
from virtual import HEIGHT, SPECS, WIDTH, cameras_section, virtual_station, wait_until

from edge_agent.cameras.checks import check_set
from edge_agent.cameras.clock import CaptureClock
from edge_agent.cameras.frames import FrameSet, TimedFrame
from edge_agent.cameras.group import Cameras
from edge_agent.config import ChecksSection
from edge_agent.reasons import Reason
from edge_agent.status import CameraState
from simulator import frameclock
from simulator.feed import Fault
from simulator.station import PASSWORD, VirtualStation

LOOP_MS = 4000


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    file = tmp_path / "password"
    file.write_text(PASSWORD, encoding="utf-8")
    return str(file)


@pytest.fixture
def station() -> Iterator[VirtualStation]:
    with virtual_station() as running:
        yield running


@pytest.fixture
def cameras(station: VirtualStation, password_file: str) -> Iterator[Cameras]:
    group = Cameras(cameras_section(station, password_file))
    group.start()
    try:
        wait_until(lambda: all(s.state is CameraState.STREAMING for s in group.status()))
        wait_until(lambda: all(s.clock == "rtcp" for s in group.status()))
        yield group
    finally:
        group.stop()


def true_ms(station: VirtualStation, frame: TimedFrame) -> float:
    """When the frame was really taken, by the clock drawn into it: ms within the loop."""
    luma = frame.frame.to_ndarray()[:HEIGHT]
    value = frameclock.read(np.asarray(luma, np.uint8))
    assert value is not None, f"{frame.camera}: no frame clock in the picture"
    return value + station.feeds[frame.camera].spec.phase_ms


def true_skew_ms(station: VirtualStation, frames: FrameSet) -> float:
    times = [true_ms(station, frame) for frame in frames.frames.values()]
    around = [(t - times[0] + LOOP_MS / 2) % LOOP_MS for t in times]
    return max(around) - min(around)


@pytest.mark.parametrize("armed", [False, True])
def test_four_frames_of_one_instant(station: VirtualStation, cameras: Cameras, armed: bool) -> None:
    cameras.arm(armed)
    skews = []
    for _ in range(5):
        frames = cameras.frames_at(datetime.now(UTC))
        assert not frames.problems
        assert next(iter(frames.frames)) == "C301"
        for frame in frames.frames.values():
            assert (frame.frame.width, frame.frame.height) == (WIDTH, HEIGHT)
            assert abs(frame.error_ms) < 100
            assert frame.clock == "rtcp"
        skew = true_skew_ms(station, frames)
        assert frames.skew_ms == pytest.approx(skew, abs=3.0)
        skews.append(skew)
    # The slowest cameras take a picture every 83 ms: two frames lie at most that far apart.
    assert statistics.median(skews) < 90


def test_long_groups_of_pictures(password_file: str) -> None:
    # Four seconds from keyframe to keyframe; the frame wanted may be the last before a keyframe.
    specs = tuple(replace(spec, codec="h264", fps=25.0, gop=100) for spec in SPECS)
    with virtual_station(specs) as station:
        group = Cameras(cameras_section(station, password_file))
        group.start()
        try:
            wait_until(lambda: all(s.gop for s in group.status()), 30.0)
            assert {s.gop for s in group.status()} == {100}
            for _ in range(4):
                frames = group.frames_at(datetime.now(UTC))
                assert not frames.problems
                assert true_skew_ms(station, frames) < 60
                time.sleep(0.7)
        finally:
            group.stop()


def test_status_tells_what_the_stream_is(cameras: Cameras) -> None:
    wait_until(lambda: all(s.gop for s in cameras.status()))
    by_name = {s.camera: s for s in cameras.status()}
    assert by_name["C201"].codec == "hevc"
    assert by_name["C301"].gop == 50
    assert by_name["C301"].fps == pytest.approx(25, abs=1)
    assert by_name["C401"].width == WIDTH
    assert by_name["C401"].delay_ms == pytest.approx(400, abs=200)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.STALL, Reason.STALLED),
        (Fault.FREEZE, Reason.FROZEN),
        (Fault.RESIZE, Reason.WRONG_SIZE),
        (Fault.DISCONNECT, Reason.UNREACHABLE),
    ],
)
def test_a_broken_camera_is_noticed_and_comes_back(
    station: VirtualStation, cameras: Cameras, fault: Fault, reason: Reason
) -> None:
    reader = cameras.readers["C301"]
    station.break_camera("C301", fault)
    expected = {reason, Reason.STALLED} if fault is Fault.DISCONNECT else {reason}
    wait_until(lambda: (p := reader.problem()) is not None and p.reason in expected)
    frames = cameras.frames_at(datetime.now(UTC))
    assert frames.problems["C301"].reason in {*expected, Reason.UNREACHABLE}
    assert set(frames.frames) == {"C101", "C201", "C401"}
    station.break_camera("C301", Fault.NONE)
    wait_until(lambda: reader.status().state is CameraState.STREAMING, 40.0)


@pytest.mark.parametrize("armed", [False, True])
@pytest.mark.parametrize("camera", ["C301", "C401"])  # H.264: every cut is found there
def test_half_a_keyframe_is_refused(
    station: VirtualStation, cameras: Cameras, camera: str, armed: bool
) -> None:
    cameras.arm(armed)
    clip = station.feeds[camera].clip
    keys = {n for n, unit in enumerate(clip.units) if unit.is_key}
    station.show({camera: replace(clip, units=spoil(clip.units, clip.codec, keys, 0.5))})
    # The ring goes back to the keyframe before the last: until two have come, it holds whole ones.
    time.sleep(2 * len(clip.units) / clip.fps / len(keys) + 1.0)
    frames = cameras.frames_at(datetime.now(UTC))
    assert set(frames.problems) == {camera}
    assert frames.problems[camera].reason is Reason.UNDECODABLE
    assert frames.waited_ms < 1500
    station.show({camera: clip})
    wait_until(lambda: not cameras.frames_at(datetime.now(UTC)).problems)


def test_one_cameras_unexpected_fault_leaves_the_others(
    cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cameras.readers["C401"], "frame_at", fail)
    frames = cameras.frames_at(datetime.now(UTC))
    assert set(frames.frames) == {"C101", "C201", "C301"}
    assert frames.problems["C401"].reason is Reason.INTERNAL


def test_a_camera_that_was_unplugged_is_unreachable_not_silent(
    station: VirtualStation, cameras: Cameras
) -> None:
    reader = cameras.readers["C301"]
    station.break_camera("C301", Fault.DISCONNECT)
    # The connection that broke was silent; the next ones find nobody.
    wait_until(lambda: (p := reader.problem()) is not None and "check address" in p.detail)


def test_a_refused_password_is_not_retried_and_never_shown(
    station: VirtualStation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = tmp_path / "wrong"
    wrong.write_text("s3cr3t-wrong", encoding="utf-8")
    group = Cameras(cameras_section(station, str(wrong)))
    group.start()
    try:
        wait_until(lambda: all(s.problem is Reason.UNAUTHORIZED for s in group.status()))
        refusals = station.rtsp.refusals
        frames = group.frames_at(datetime.now(UTC))
        assert {p.reason for p in frames.problems.values()} == {Reason.UNAUTHORIZED}
        assert station.rtsp.refusals == refusals == 1
        assert "s3cr3t" not in caplog.text + repr(group.status()) + repr(frames.problems)
    finally:
        group.stop()


@pytest.mark.parametrize(
    ("camera", "offset_ms"), [("C301", -1500.0), ("C301", 6000.0), ("C401", 3000.0)]
)
def test_a_wrong_clock_is_told_and_stops_the_graded_camera_only(
    password_file: str, camera: str, offset_ms: float
) -> None:
    specs = tuple(
        replace(spec, clock_offset_ms=offset_ms if spec.camera == camera else 0.0) for spec in SPECS
    )
    with virtual_station(specs) as station:
        section = cameras_section(station, password_file)
        group = Cameras(section)
        group.start()
        try:
            wait_until(lambda: all(s.clock == "rtcp" for s in group.status()))
            wait_until(lambda: any(s.problem is Reason.CLOCK for s in group.status()))
            told = {s.camera: s for s in group.status() if s.problem is not None}
            assert set(told) == {camera}
            off = re.search(r"off by about (\S+) s \((\w+)\)", str(told[camera].detail))
            assert off is not None
            assert float(off[1]) == pytest.approx(abs(offset_ms) / 1000, abs=0.4)
            assert off[2] == ("ahead" if offset_ms > 0 else "behind")
            graded = camera == "C301"
            assert (told[camera].state is CameraState.TROUBLED) == graded
            refusal, problems = check_set(
                group.frames_at(datetime.now(UTC)), section, ChecksSection(blur_min=0.0)
            )
            assert problems[camera].reason is Reason.CLOCK
            assert (refusal.reason if refusal else None) == (Reason.CLOCK if graded else None)
        finally:
            group.stop()


def test_a_recorder_whose_clock_is_behind_is_told_and_not_ready(password_file: str) -> None:
    """All cameras share its clock: none contradicts another, and every picture comes too late."""
    specs = tuple(replace(spec, clock_offset_ms=-3500.0) for spec in SPECS)
    with virtual_station(specs) as station:
        group = Cameras(cameras_section(station, password_file))
        group.start()
        try:
            wait_until(lambda: all(s.problem is Reason.CLOCK for s in group.status()))
            graded = next(s for s in group.status() if s.camera == "C301")
            assert graded.state is CameraState.TROUBLED
            assert re.search(r"off by about 3\.\d s \(behind\)", str(graded.detail))
        finally:
            group.stop()


def test_without_sender_reports_the_host_clock_is_declared(password_file: str) -> None:
    with virtual_station(first_report_delay_s=3600.0) as station:
        group = Cameras(cameras_section(station, password_file))
        group.start()
        try:
            wait_until(lambda: all(s.state is CameraState.STREAMING for s in group.status()))
            frames = group.frames_at(datetime.now(UTC))
            assert {f.clock.value for f in frames.frames.values()} == {"host"}
        finally:
            group.stop()


def test_a_camera_that_stops_its_reports_is_declared(
    password_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.rtsp.SENDER_REPORT_INTERVAL_S", 0.5)
    monkeypatch.setattr(
        "edge_agent.cameras.reader.CaptureClock", partial(CaptureClock, report_life_s=2.0)
    )
    with virtual_station() as station:
        group = Cameras(cameras_section(station, password_file))
        group.start()

        def clocks() -> set[tuple[str, str | None]]:
            return {(s.camera, s.clock) for s in group.status()}

        own = {(spec.camera, "rtcp") for spec in SPECS}
        lost = own - {("C301", "rtcp")} | {("C301", "host")}
        try:
            wait_until(lambda: clocks() == own)
            ends = time.monotonic() + 4.0
            while time.monotonic() < ends:
                # Reports that keep coming count beyond the life of one.
                assert clocks() == own
                time.sleep(0.05)
            station.break_camera("C301", Fault.NO_SENDER_REPORTS)
            wait_until(lambda: clocks() == lost)
            assert {s.state for s in group.status()} == {CameraState.STREAMING}
            frames = group.frames_at(datetime.now(UTC))
            assert {(c, f.clock.value) for c, f in frames.frames.items()} == lost
            station.break_camera("C301", Fault.NONE)
            wait_until(lambda: clocks() == own)
        finally:
            group.stop()


def test_a_password_refused_at_the_next_connection_is_the_cameras_own(
    station: VirtualStation, cameras: Cameras
) -> None:
    reader = cameras.readers["C301"]
    station.break_camera("C301", Fault.REFUSE_PASSWORD)
    time.sleep(1.0)
    assert reader.problem() is None  # what is open goes on
    station.break_camera("C301", Fault.DISCONNECT)
    wait_until(lambda: reader.problem() is not None)
    station.break_camera("C301", Fault.REFUSE_PASSWORD)
    wait_until(lambda: (p := reader.problem()) is not None and p.reason is Reason.UNAUTHORIZED)
    frames = cameras.frames_at(datetime.now(UTC))
    assert frames.problems["C301"].reason is Reason.UNAUTHORIZED
    assert set(frames.frames) == {"C101", "C201", "C401"}
    assert PASSWORD not in repr(cameras.status()) + repr(frames.problems)
    assert station.rtsp.refusals == 1


def test_a_missing_channel_and_a_dead_address(station: VirtualStation, password_file: str) -> None:
    base = f"rtsp://127.0.0.1:{station.rtsp.port}/Streaming/Channels"
    section = cameras_section(
        station, password_file, C101={"url": f"{base}/901"}, C201={"url": "rtsp://127.0.0.1:1/x"}
    )
    group = Cameras(section)
    group.start()
    try:
        wait_until(lambda: group.readers["C101"].problem() is not None)
        wait_until(lambda: group.readers["C201"].problem() is not None)
        problems = {c: group.readers[c].problem() for c in ("C101", "C201")}
        assert problems["C101"] is not None
        assert problems["C101"].reason is Reason.NOT_FOUND
        assert problems["C201"] is not None
        assert problems["C201"].reason is Reason.UNREACHABLE
        wait_until(lambda: group.readers["C301"].status().state is CameraState.STREAMING)
    finally:
        group.stop()

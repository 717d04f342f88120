"""Scripted packets, no network: when were pictures taken, and in which order?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cameras.clock import REPORT_LIFE_S, CaptureClock, Clock, Stamp
from edge_agent.cameras.order import OrderWatch

FRAME = 0.04
LATENCY = 0.3
EPOCH = 1_700_000_000.0
DRIFT = 1e-4
"""How much faster the camera's clock runs than its time stamps: a poor quartz."""


def test_two_agreeing_reports_give_the_cameras_clock() -> None:
    clock = CaptureClock()
    clock.stamp(0.0, EPOCH, EPOCH + 0.3)
    stamp = clock.stamp(FRAME, EPOCH + FRAME, EPOCH + 0.34)
    assert stamp.clock is Clock.RTCP
    assert stamp.at == pytest.approx(EPOCH + FRAME, abs=1e-6)


def test_first_packet_after_a_report_in_mid_stream_is_not_believed() -> None:
    clock = CaptureClock()
    for n in range(10):
        assert clock.stamp(n * FRAME, None, EPOCH + n * FRAME + 0.2).clock is Clock.HOST
    # One frame late, as the demuxer says it; the next ones are right.
    late = clock.stamp(10 * FRAME, EPOCH + 11 * FRAME, EPOCH + 10 * FRAME + 0.2)
    assert late.clock is Clock.HOST
    assert clock.stamp(11 * FRAME, EPOCH + 11 * FRAME, EPOCH + 0.7).clock is Clock.HOST
    right = clock.stamp(12 * FRAME, EPOCH + 12 * FRAME, EPOCH + 0.7)
    assert right.clock is Clock.RTCP
    assert right.at == pytest.approx(EPOCH + 12 * FRAME, abs=1e-6)


def test_missing_time_stamp_falls_back_to_arrival() -> None:
    stamp = CaptureClock(latency_s=0.1).stamp(None, EPOCH, EPOCH + 5)
    assert stamp.clock is Clock.HOST
    assert stamp.at == pytest.approx(EPOCH + 4.9)


@given(
    latency=st.floats(0.05, 0.5),
    jitters=st.lists(st.floats(0.0, 0.2), min_size=5, max_size=60),
    report_at=st.integers(0, 80),
)
def test_reports_beat_any_jitter(latency: float, jitters: list[float], report_at: int) -> None:
    clock = CaptureClock()
    for n, jitter in enumerate(jitters):
        taken = EPOCH + n * FRAME
        report = taken if n >= report_at else None
        stamp = clock.stamp(n * FRAME, report, taken + latency + jitter)
        if n > report_at:
            assert stamp.clock is Clock.RTCP
            assert stamp.at == pytest.approx(taken, abs=1e-3)
        elif n < report_at:
            assert stamp.clock is Clock.HOST
            # Never earlier than the truth, never later than the arrival.
            assert taken + latency - 1e-3 <= stamp.at <= taken + latency + jitter + 1e-3


class Wire:
    """A camera as FFmpeg tells of it: every producer time is reckoned from the last report."""

    def __init__(self, clock: CaptureClock) -> None:
        self.clock = clock
        self.base = 0.0
        """Seconds by which the time stamps are ahead of the time since EPOCH."""
        self.reported_offset = 0.0

    def shoot(self, at: float, *, report: bool = False, told: bool = True) -> Stamp:
        """The stamp of a picture taken `at` seconds after EPOCH by the camera's time stamps.

        report: a sender report comes just before it; told: FFmpeg says so too.
        """
        if report:
            self.reported_offset = EPOCH + at * DRIFT - self.base
        pts = at + self.base
        # FFmpeg rounds to microseconds.
        produced = round(pts + self.reported_offset, 6)
        return self.clock.stamp(pts, produced, EPOCH + at + LATENCY, reported=report and told)


@pytest.mark.parametrize("told", [False, True])
def test_a_report_counts_for_its_time_only(told: bool) -> None:
    """With or without FFmpeg's word for the report that comes again."""
    wire = Wire(CaptureClock())
    wire.shoot(0.0, report=True)
    assert wire.shoot(FRAME).clock is Clock.RTCP
    assert wire.shoot(REPORT_LIFE_S).clock is Clock.RTCP
    late = REPORT_LIFE_S + 1.0
    for n in range(200):
        stamp = wire.shoot(late + n * FRAME)
        assert stamp.clock is Clock.HOST
        assert stamp.at == pytest.approx(EPOCH + late + n * FRAME + LATENCY, abs=1e-6)
    again = 2 * REPORT_LIFE_S
    wire.shoot(again, report=True, told=told)
    stamp = wire.shoot(again + FRAME)
    assert stamp.clock is Clock.RTCP
    assert stamp.at == pytest.approx(EPOCH + again * (1 + DRIFT) + FRAME, abs=1e-5)


@pytest.mark.parametrize("told", [False, True])
def test_reports_that_keep_coming_keep_the_clock(told: bool) -> None:
    wire = Wire(CaptureClock())
    for n in range(1, round(10 * REPORT_LIFE_S)):
        at = float(n)
        stamp = wire.shoot(at, report=n % 5 == 1, told=told)
        if n > 1:
            assert stamp.clock is Clock.RTCP
            # Five seconds of drift at most: the clock is followed.
            assert stamp.at == pytest.approx(EPOCH + at * (1 + DRIFT), abs=6 * DRIFT)


@pytest.mark.parametrize("jump", [-1000.0, -1.5, 20.0, 5000.0])
def test_a_restart_waits_for_a_new_report(jump: float) -> None:
    """FFmpeg reckons from the old report until then, as if time had jumped."""
    wire = Wire(CaptureClock())
    for n in range(50):
        wire.shoot(n * FRAME, report=n == 0)
    wire.base = jump
    for n in range(50, 100):
        stamp = wire.shoot(n * FRAME)
        assert stamp.clock is Clock.HOST
        assert stamp.at == pytest.approx(EPOCH + n * FRAME + LATENCY, abs=1e-6)
    wire.shoot(100 * FRAME, report=True)
    stamp = wire.shoot(101 * FRAME)
    assert stamp.clock is Clock.RTCP
    assert stamp.at == pytest.approx(EPOCH + 101 * FRAME, abs=1e-3)


def test_pictures_skipped_by_the_camera_are_no_restart() -> None:
    wire = Wire(CaptureClock())
    for at in (0.0, FRAME, 2 * FRAME, 8.0, 8.0 + FRAME, 70.0):
        stamp = wire.shoot(at, report=at in (0.0, 70.0))
    assert stamp.clock is Clock.RTCP


def in_coded_order(groups: list[int]) -> list[int]:
    """Numbers of pictures as they are sent: after each B group's later picture, the group."""
    order, shown = [0], 1
    for between in groups:
        order += [shown + between, *range(shown, shown + between)]
        shown += between + 1
    return order


@given(st.lists(st.integers(0, 8), min_size=3, max_size=80), st.sampled_from([FRAME, 1 / 12]))
def test_b_frames_are_told_and_are_no_restart(groups: list[int], frame_s: float) -> None:
    clock, order, back = CaptureClock(), OrderWatch(), 0
    numbers = in_coded_order(groups)
    for i, (n, before) in enumerate(zip(numbers, [-1, *numbers[:-1]], strict=True)):
        pts, back = n * frame_s, back + (n < before)
        stamp = clock.stamp(pts, EPOCH + pts, EPOCH + i * frame_s + 1.0)
        if i > 0:
            assert stamp.clock is Clock.RTCP
            assert stamp.at == pytest.approx(EPOCH + pts, abs=1e-5)
        if i <= 100:
            assert order.see(pts) == (back >= 3)


@given(
    st.lists(
        st.one_of(
            st.floats(0.0, 5.0),  # pictures left out, or two at once
            st.floats(-1e4, -1.0),  # a restart
            st.none(),  # no time stamp
        ),
        max_size=300,
    )
)
def test_restarts_are_no_b_frames(steps: list[float | None]) -> None:
    order, pts = OrderWatch(), 0.0
    for step in steps:
        pts += step or 0.0
        assert not order.see(None if step is None else pts)


def test_b_frames_that_were_switched_off_are_forgotten() -> None:
    order = OrderWatch()
    assert [order.see(n * FRAME) for n in in_coded_order([1] * 3)][-1]
    assert not [order.see(1.0 + n * FRAME) for n in range(110)][-1]


def test_a_clock_set_back_a_little_at_each_report_is_no_b_frame() -> None:
    """A stream with sound: FFmpeg takes its time stamps from the sender reports."""
    order = OrderWatch()
    for n in range(2000):
        # 12 pictures a second, a report every 5 s, each of which sets the time back by 0.1 s.
        assert not order.see(n / 12 - n // 60 * 0.1)

"""Scripted packets, no network: when were pictures taken?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cameras.clock import CaptureClock, Clock

FRAME = 0.04
EPOCH = 1_700_000_000.0


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


def test_backward_time_forgets_the_offset() -> None:
    clock = CaptureClock()
    for n in range(3):
        clock.stamp(100 + n * FRAME, EPOCH + n * FRAME, EPOCH + n * FRAME)
    assert clock.stamp(0.0, None, EPOCH + 50).clock is Clock.HOST


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

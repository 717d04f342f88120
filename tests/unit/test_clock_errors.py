"""Which camera's clock is wrong, by the delays of all of them; what it means for a truck."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cameras.clock import Clock
from edge_agent.cameras.clock_errors import clock_errors
from edge_agent.cameras.frames import FrameSet, Problem, TimedFrame
from edge_agent.config import CAMERA_IDS
from edge_agent.reasons import Reason

LATENCIES = dict(zip(CAMERA_IDS, (0.12, 0.18, 0.25, 0.4), strict=True))


@pytest.mark.parametrize("off", [-3.0, -1.5, 1.5, 6.0, 7 * 3600.0])
@pytest.mark.parametrize("camera", CAMERA_IDS)
def test_one_wrong_clock_is_found_and_measured(camera: str, off: float) -> None:
    errors = clock_errors(LATENCIES | {camera: LATENCIES[camera] - off}, 1.0)
    assert set(errors) == {camera}
    assert errors[camera] == pytest.approx(off, abs=0.4)


def test_a_picture_from_the_future_is_found_within_the_limit() -> None:
    errors = clock_errors(LATENCIES | {"C201": -0.05}, 1.0)
    assert set(errors) == {"C201"}
    assert 0.05 <= errors["C201"] < 0.5


def test_the_clock_of_this_pc_shows_when_it_is_behind() -> None:
    errors = clock_errors({camera: delay - 10 for camera, delay in LATENCIES.items()}, 1.0)
    assert set(errors) == set(CAMERA_IDS)
    assert all(error > 9 for error in errors.values())


def test_a_clock_that_all_share_shows_where_every_picture_comes_too_late() -> None:
    """As of four cameras behind one recorder, which no other camera contradicts."""
    late = {camera: delay + 3.2 for camera, delay in LATENCIES.items()}
    assert clock_errors(late, 1.0) == {}
    errors = clock_errors(late, 1.0, slowest_s=2.5)
    assert set(errors) == set(CAMERA_IDS)
    assert all(-4 < error < -3 for error in errors.values())
    assert clock_errors(LATENCIES, 1.0, slowest_s=2.5) == {}


@given(st.dictionaries(st.sampled_from(CAMERA_IDS), st.floats(0.0, 1.0)))
def test_latencies_alone_are_no_error(delays: dict[str, float]) -> None:
    assert clock_errors(delays, 1.0) == {}


def test_a_wrong_clock_says_nothing_of_the_skew() -> None:
    instant = datetime(2026, 1, 15, tzinfo=UTC)
    picture = av.VideoFrame(64, 64, "yuv420p")
    frames = {
        camera: TimedFrame(camera, picture, instant + timedelta(seconds=at), Clock.RTCP, at * 1000)
        for camera, at in {"C101": 0.0, "C301": 0.02, "C401": 3.0}.items()
    }
    assert FrameSet(instant, frames, {}).skew_ms == pytest.approx(3000)
    wrong = {"C401": Problem(Reason.CLOCK, "3 s")}
    assert FrameSet(instant, frames, wrong).skew_ms == pytest.approx(20)

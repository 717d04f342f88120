"""What the times and sizes of a hand-made set of frames refuse; what pictures show is elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import av
import cv2
import numpy as np
import pytest
from virtual import HEIGHT, WIDTH, clock_pictures

from edge_agent.cameras.checks import check_set
from edge_agent.cameras.clock import Clock
from edge_agent.cameras.frames import FrameSet, Problem, TimedFrame
from edge_agent.config import CAMERA_IDS, CamerasSection, ChecksSection
from edge_agent.reasons import Reason

NOW = datetime(2026, 1, 15, 3, 20, 41, tzinfo=UTC)
SECTION = CamerasSection.model_validate(
    {camera: {"url": "rtsp://127.0.0.1:1/x"} for camera in CAMERA_IDS}
    | {"width": WIDTH, "height": HEIGHT}
)


def frame(
    camera: str, *, ms: float = 0.0, size: tuple[int, int] = (WIDTH, HEIGHT), repeats: bool = False
) -> TimedFrame:
    """A good picture, taken so many milliseconds from the instant."""
    picture = next(clock_pictures(1.0, 1.0))
    if size != (WIDTH, HEIGHT):
        picture = np.asarray(cv2.resize(picture, (size[0], size[1] * 3 // 2)), np.uint8)
    return TimedFrame(
        camera=camera,
        frame=av.VideoFrame.from_ndarray(picture, format="yuv420p"),
        captured_at=NOW + timedelta(milliseconds=ms),
        clock=Clock.RTCP,
        error_ms=ms,
        repeats=repeats,
    )


def judged(
    *frames: TimedFrame, problems: dict[str, Problem] | None = None
) -> tuple[Reason | None, dict[str, Reason]]:
    """Why the set is refused, and what is wrong with each camera's frame."""
    by_camera = {f.camera: f for f in frames}
    refusal, found = check_set(FrameSet(NOW, by_camera, problems or {}), SECTION, ChecksSection())
    return refusal and refusal.reason, {c: problem.reason for c, problem in found.items()}


@pytest.mark.parametrize(("ms", "refused"), [(249.0, None), (251.0, Reason.SKEW)])
@pytest.mark.parametrize("camera", ["C101", "C301"])
def test_pictures_too_far_apart_are_refused(camera: str, ms: float, refused: Reason | None) -> None:
    others = [frame(c, ms=-ms / 2) for c in CAMERA_IDS if c != camera]
    assert judged(frame(camera, ms=ms / 2), *others) == (refused, {})


def test_a_wrong_clock_of_another_camera_is_no_skew() -> None:
    clock = {"C401": Problem(Reason.CLOCK, "off by 3 s")}
    frames = frame("C301"), frame("C401", ms=3000.0)
    assert judged(*frames, problems=clock) == (None, {"C401": Reason.CLOCK})
    assert judged(*frames)[0] is Reason.SKEW


@pytest.mark.parametrize(("ms", "stale"), [(499, False), (501, True), (-499, False), (-501, True)])
def test_pictures_of_another_moment_are_stale(ms: float, stale: bool) -> None:
    refused = Reason.STALE if stale else None
    assert judged(frame("C301", ms=ms))[0] is refused
    aside = judged(frame("C301", ms=ms * 0.8), frame("C201", ms=ms))
    assert aside == (None, {"C201": Reason.STALE} if stale else {})


@pytest.mark.parametrize("size", [(WIDTH - 2, HEIGHT), (WIDTH, HEIGHT - 2), (HEIGHT, WIDTH)])
def test_pictures_of_another_size_are_refused(size: tuple[int, int]) -> None:
    wrong = Reason.WRONG_SIZE
    assert judged(frame("C301", size=size)) == (wrong, {"C301": wrong})
    assert judged(frame("C301"), frame("C101", size=size)) == (None, {"C101": wrong})


def test_a_picture_that_repeats_is_refused() -> None:
    assert judged(frame("C301", repeats=True))[0] is Reason.FROZEN
    assert judged(frame("C301"), frame("C401", repeats=True)) == (None, {"C401": Reason.FROZEN})

"""Content checks: what no model should grade."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.cameras.frames import GRADED_CAMERA, FrameSet, Problem, TimedFrame
from edge_agent.cameras.pictures import thumbnail
from edge_agent.config import CamerasSection, ChecksSection
from edge_agent.reasons import Reason


def check_picture(luma: npt.NDArray[np.uint8], limits: ChecksSection) -> Problem | None:
    """What is wrong with a picture's content, judged on its uint8 luma thumbnail."""
    mean, deviation = float(luma.mean()), float(luma.std())
    bright = float((luma >= 250).mean())
    if mean < limits.black_mean:
        return Problem(
            Reason.BLACK, f"mean grey level {mean:.0f}, at least {limits.black_mean:g} is needed"
        )
    if bright > limits.bright_share:
        return Problem(
            Reason.OVEREXPOSED,
            f"{bright:.0%} of it is white, at most {limits.bright_share:.0%} may be",
        )
    if deviation < limits.covered_min_std:
        return Problem(
            Reason.COVERED,
            f"grey levels vary by {deviation:.1f}, at least {limits.covered_min_std:g} is needed",
        )
    # Smoothed first: at night the sensor's noise alone is as sharp as many a good picture.
    smooth = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 1.0)
    sharpness = float(cv2.Laplacian(smooth, cv2.CV_32F).var())
    if sharpness < limits.blur_min:
        return Problem(
            Reason.BLURRED,
            f"sharpness {sharpness:.1f}, at least {limits.blur_min:g} is needed",
        )
    return None


def check_frame(
    frame: TimedFrame, cameras: CamerasSection, limits: ChecksSection
) -> Problem | None:
    """What is wrong with one frame: its time, its size or its content."""
    if abs(frame.error_ms) > cameras.max_error_ms:
        return Problem(
            Reason.STALE,
            f"taken {frame.error_ms:+.0f} ms from the instant, "
            f"at most {cameras.max_error_ms:.0f} ms are allowed",
        )
    size = (frame.frame.width, frame.frame.height)
    if size != (cameras.width, cameras.height):
        return Problem(
            Reason.WRONG_SIZE,
            f"{size[0]} x {size[1]}, expected {cameras.width} x {cameras.height}",
        )
    if frame.repeats:
        return Problem(Reason.FROZEN, "the same picture as 0.3 s before")
    return check_picture(thumbnail(frame.frame), limits)


def check_set(
    frame_set: FrameSet, cameras: CamerasSection, limits: ChecksSection
) -> tuple[Problem | None, dict[str, Problem]]:
    """Why the set must not be graded (or None), and what is wrong with each camera's frame.

    Only the graded camera and the skew can refuse a truck; the others are evidence.
    """
    problems = dict(frame_set.problems)
    for camera, frame in frame_set.frames.items():
        problem = check_frame(frame, cameras, limits)
        if problem is not None:
            # A wrong clock explains what else is wrong with the frame's time.
            problems.setdefault(camera, problem)
    graded = problems.get(GRADED_CAMERA)
    if graded is not None:
        return graded, problems
    skew = frame_set.skew_ms
    if skew is not None and skew > cameras.max_skew_ms:
        detail = f"{skew:.0f} ms apart, at most {cameras.max_skew_ms:.0f} ms are allowed"
        return Problem(Reason.SKEW, detail), problems
    return None, problems

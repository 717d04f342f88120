"""What cameras answer with: the frames of one instant, and how close together they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import av

from edge_agent.cameras.clock import Clock
from edge_agent.reasons import Reason

GRADED_CAMERA = "C301"
"""The top-middle camera: the one that is graded. The others are evidence."""


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame with its capture time (UTC) and that time less the instant asked for.

    repeats: the same picture came at least 0.3 s before, so the camera is frozen.
    """

    camera: str
    frame: av.VideoFrame
    captured_at: datetime
    clock: Clock
    error_ms: float
    repeats: bool | None = None
    waited_ms: float = 0.0
    """How long the picture was waited for before it could be decoded."""


@dataclass(frozen=True)
class Problem:
    """Why a camera gave no usable frame."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class FrameSet:
    """The frames nearest to `instant`, by camera.

    problems: of cameras that gave none, and of those whose frame is that of another instant because
    their clock is wrong.
    """

    instant: datetime
    frames: Mapping[str, TimedFrame]
    problems: Mapping[str, Problem]

    @property
    def waited_ms(self) -> float:
        """How long the last of the pictures was waited for."""
        return max((frame.waited_ms for frame in self.frames.values()), default=0.0)

    @property
    def skew_ms(self) -> float | None:
        """Latest less earliest capture time; None with fewer than two frames.

        Frames of cameras with a wrong clock are left out: when they were taken is not known.
        """
        wrong = {c for c, problem in self.problems.items() if problem.reason is Reason.CLOCK}
        times = [f.captured_at.timestamp() for c, f in self.frames.items() if c not in wrong]
        return (max(times) - min(times)) * 1000 if len(times) > 1 else None

"""Which models are loaded, and which of them grades the next truck."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.inference.engine import Engine
from edge_agent.inference.grader import Prediction


@dataclass(frozen=True)
class Graded:
    """A frame's prediction and the engine that made it.

    failed: the engine that should have graded and could not, with its error as one line.
    """

    prediction: Prediction | None
    engine: Engine
    failed: tuple[Engine, str] | None = None


class Lineup:
    """The engine that grades, the one it has replaced until it has proved itself, and the one that
    grades in the shadow. Swapping takes a moment and is seen by the next truck. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: Engine | None = None
        self._reserve: Engine | None = None
        self._shadow: Engine | None = None

    @property
    def active(self) -> Engine | None:
        """The engine that grades the next truck."""
        return self._active

    @property
    def reserve(self) -> Engine | None:
        """The engine that graded before, until the active one has graded a truck."""
        return self._reserve

    @property
    def shadow(self) -> Engine | None:
        """The candidate that grades the same trucks unseen."""
        return self._shadow

    def activate(self, engine: Engine, *, keep_before: bool) -> None:
        """Lets that engine grade from the next truck on.

        keep_before: the one before stays in reserve; not if it is replaced because it failed or
        may not grade any more.
        """
        with self._lock:
            if not keep_before:
                self._reserve = None
            elif self._active is not None and self._active.digest != engine.digest:
                self._reserve = self._active
            self._active = engine
            if self._shadow is not None and self._shadow.digest == engine.digest:
                self._shadow = None

    def retire(self) -> None:
        """Lets nothing grade: the active model may no longer be used, and there is no other."""
        with self._lock:
            self._active = self._reserve = None

    def settle(self, engine: Engine) -> None:
        """Lets the reserve go, because that engine has graded a truck and is active."""
        with self._lock:
            if self._active is engine:
                self._reserve = None

    def drop_reserve(self) -> None:
        """Lets the reserve go, because it may not grade any more."""
        with self._lock:
            self._reserve = None

    def watch(self, shadow: Engine | None) -> None:
        """Sets the candidate that grades in the shadow, or none."""
        with self._lock:
            self._shadow = shadow

    def grade(
        self,
        frame: npt.NDArray[np.uint8],
        timed: Callable[[str], AbstractContextManager[None]],
    ) -> Graded | None:
        """Grades a frame, uint8 BGR (height, width, 3); None if there is no engine.

        If a new engine fails, the one in its reserve grades the truck, all of it.
        """
        with self._lock:
            active, reserve = self._active, self._reserve
        if active is None:
            return None
        try:
            return Graded(active.grade(frame, timed), active)
        except Exception as error:  # noqa: BLE001 - whatever ONNX Runtime raises
            failed = (active, " ".join(str(error).split())[:200])
            if reserve is None:
                return Graded(None, active, failed)
            try:
                return Graded(reserve.grade(frame, timed), reserve, failed)
            except Exception:  # noqa: BLE001 - then neither can: it is the picture
                return Graded(None, active, failed)

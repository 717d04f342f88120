"""A station for tests of the API and the console: real records and pictures, no cameras."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from console_states import DIGEST, healthy_status

from edge_agent.config import CAMERA_IDS, StationConfig
from edge_agent.grades import GRADES, Grade
from edge_agent.reasons import Reason
from edge_agent.records.models import Arrival
from edge_agent.records.store import FrameRecord, NewArrival, Outcome
from edge_agent.station import Station
from edge_agent.status import StationStatus

PASSWORD = "hunter2-never-on-a-page"

_COLOURS = {
    Grade.FRESH_CLEAN: (70, 150, 110),
    Grade.FRESH_TRASH: (90, 170, 170),
    Grade.BURN_CLEAN: (40, 50, 70),
    Grade.BURN_TRASH: (50, 80, 110),
    Grade.UNDEFINED: (130, 125, 120),
}


def config(data_dir: Path, *, language: str = "th") -> StationConfig:
    """A station.yaml's worth of configuration."""
    return StationConfig.model_validate(
        {
            "station": {"id": "KK1", "name": "ด่านชั่ง 1 โรงงานน้ำตาลตัวอย่าง", "language": language},
            "data_dir": data_dir,
            "cameras": {
                "credentials": {"username": "viewer", "password_env": "CONSOLE_TEST_PASSWORD"},
                **{
                    camera: {"url": f"rtsp://192.0.2.10:554/Streaming/Channels/{camera[1:]}"}
                    for camera in CAMERA_IDS
                },
            },
            "model": {"bundle": data_dir / "model.zip"},
        }
    )


def picture(
    grade: Grade, camera: str, seed: int, size: tuple[int, int] = (2272, 1704)
) -> npt.NDArray[np.uint8]:
    """A stand-in for a load: stalks of the grade's colour, uint8 BGR (height, width, 3)."""
    rng = np.random.default_rng([seed, CAMERA_IDS.index(camera)])
    width, height = size
    image = np.full((height, width, 3), 60, np.uint8)
    base = np.array(_COLOURS[grade])
    for _ in range(420):
        x, y = rng.integers(0, width), rng.integers(0, height)
        angle, length = rng.normal(0.1, 0.35), rng.integers(200, 900)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        colour = np.clip(base + rng.normal(0, 22), 0, 255).tolist()
        cv2.line(image, (int(x), int(y)), end, colour, int(rng.integers(14, 40)), cv2.LINE_AA)
    cv2.putText(image, camera, (60, 200), cv2.FONT_HERSHEY_SIMPLEX, 6, (255, 255, 255), 14)
    return image


class ConsoleStation(Station):
    """A station that is never started; tests set `state` and `fault` and give the outcomes."""

    def __init__(self, config: StationConfig) -> None:
        super().__init__(config)
        self.state = healthy_status()
        self.fault: Exception | None = None
        """Raised by `announce`, if set."""
        self.status_fault: Exception | None = None
        """Raised by `status`, if set."""
        self._seeds = itertools.count(1)

    def status(self) -> StationStatus:
        """As set by the test."""
        if self.status_fault is not None:
            raise self.status_fault
        return self.state

    def bump(self) -> None:
        """Something has changed."""
        self._touch()

    def announce(
        self,
        *,
        source: str,
        ticket: str | None = None,
        plate: str | None = None,
        province: str | None = None,
        grower: str | None = None,
        weight_kg: float | None = None,
    ) -> tuple[Arrival, bool]:
        """As Station.announce, or the fault."""
        if self.fault is not None:
            raise self.fault
        return super().announce(
            source=source,
            ticket=ticket,
            plate=plate,
            province=province,
            grower=grower,
            weight_kg=weight_kg,
        )

    def came(self, instant: datetime, *, source: str = "ticket", **known: object) -> Arrival:
        """A truck of that instant in the past."""
        new = NewArrival(station="KK1", source=source, instant=instant, **known)  # type: ignore[arg-type]
        return self.store.accept(new)[0]

    def grade(
        self,
        arrival: Arrival,
        grade: Grade,
        confidence: float = 0.964,
        *,
        needs_person: bool = False,
        trash: tuple[float, float, float] | None = None,
        missing: tuple[str, ...] = (),
        size: tuple[int, int] = (2272, 1704),
    ) -> Arrival:
        """Records a grading with pictures. trash: low, middle and high of a model's estimate."""
        low, middle, high = trash or (None, None, None)
        rest = (1 - confidence) / 4
        return self._recorded(
            arrival,
            Outcome(
                outcome="graded",
                needs_person=needs_person,
                grade=grade,
                confidence=confidence,
                probabilities={g: confidence if g is grade else rest for g in GRADES},
                trash_low=low,
                trash_middle=middle,
                trash_high=high,
                trash_coverage=0.9 if trash else None,
                model_name="mobilenetv2-cane",
                model_version="2026.1.0",
                model_digest=DIGEST,
                graded_area=[0.08, 0.06, 0.92, 0.94],
                skew_ms=31.4,
                timings_ms=_TIMINGS,
                frames=self._frames(arrival, grade, missing, size),
            ),
        )

    def refuse(
        self,
        arrival: Arrival,
        reason: Reason,
        detail: str | None = None,
        *,
        missing: tuple[str, ...] = ("C301",),
        size: tuple[int, int] = (2272, 1704),
    ) -> Arrival:
        """Records a refusal with the pictures there are."""
        return self._recorded(
            arrival,
            Outcome(
                outcome="refused",
                reason=reason,
                detail=detail,
                skew_ms=44.0,
                timings_ms={"wait": 2000.0, "total": 2051.3},
                frames=self._frames(arrival, Grade.FRESH_CLEAN, missing, size),
            ),
        )

    def _recorded(self, arrival: Arrival, outcome: Outcome) -> Arrival:
        self.store.record(arrival.id, outcome)
        self.bump()
        recorded = self.store.get(arrival.id)
        assert recorded is not None
        return recorded

    def _frames(
        self, arrival: Arrival, grade: Grade, missing: tuple[str, ...], size: tuple[int, int]
    ) -> tuple[FrameRecord, ...]:
        frames = []
        seed = next(self._seeds)
        for number, camera in enumerate(CAMERA_IDS):
            if camera in missing:
                frames.append(FrameRecord(camera=camera, problem=Reason.NO_FRAME))
                continue
            image = picture(grade, camera, seed, size)
            written = self.evidence.write(arrival.id, arrival.instant, camera, image)
            error = -12.0 + 10.4 * number
            frames.append(
                FrameRecord(
                    camera=camera,
                    captured_at=arrival.instant + timedelta(milliseconds=error),
                    clock="rtcp" if camera != "C401" else "host",
                    error_ms=error,
                    width=size[0],
                    height=size[1],
                    path=written.path,
                    sha256=written.sha256,
                )
            )
        return tuple(frames)


_TIMINGS = {
    "wait": 182.4,
    "decode": 71.9,
    "check": 6.0,
    "resize": 3.2,
    "infer": 11.8,
    "jpeg": 64.0,
    "total": 341.4,
}

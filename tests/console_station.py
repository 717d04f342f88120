"""A station for tests of the API and the console: real records and pictures, no cameras.

Run it (`python tests/console_station.py --port 8090`) to look at the console in every state.
"""

from __future__ import annotations

import argparse
import logging
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.config import CAMERA_IDS, StationConfig
from edge_agent.errors import RecordError
from edge_agent.grades import GRADES, Grade
from edge_agent.reasons import Reason
from edge_agent.records.evidence import EvidenceFolder
from edge_agent.records.models import Arrival
from edge_agent.records.store import FrameRecord, NewArrival, Outcome, Store
from edge_agent.status import (
    CameraState,
    CameraStatus,
    ModelStatus,
    ScaleStatus,
    StationStatus,
)

PASSWORD = "hunter2-never-on-a-page"
DIGEST = "9f2c4be07a1d" * 5 + "9f2c"
GIB = 2**30

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


def healthy_status() -> StationStatus:
    """Everything is well and a truck of 31 t stands on the scale."""
    cameras = tuple(
        CameraStatus(
            camera=camera,
            state=CameraState.STREAMING,
            url=f"rtsp://192.0.2.10:554/Streaming/Channels/{camera[1:]}",
            codec="h264" if camera != "C101" else "hevc",
            width=2272,
            height=1704,
            fps=25.0,
            kbit_s=6144.0 + 10 * number,
            gop=50,
            clock="rtcp" if camera != "C401" else "host",
            delay_ms=130.0 + 40 * number,
            last_packet_age_s=0.03,
            connects=1,
            armed=True,
        )
        for number, camera in enumerate(CAMERA_IDS)
    )
    return StationStatus(
        station="KK1",
        name="ด่านชั่ง 1 โรงงานน้ำตาลตัวอย่าง",
        version="0.1.0",
        started_at=datetime.now(UTC) - timedelta(hours=7, minutes=12),
        ready=True,
        problems=(),
        cameras=cameras,
        scale=ScaleStatus(connected=True, phase="on_scale", weight_kg=31240.0, stable=True),
        model=ModelStatus(
            loaded=True,
            name="mobilenetv2-cane",
            version="2026.1.0",
            digest=DIGEST,
            precision="int8",
            confidence_threshold=0.6,
        ),
        waiting=0,
        disk_free_bytes=412 * GIB,
    )


def troubled_status() -> StationStatus:
    """Two cameras troubled, one connecting, no scale, no model, disk nearly full."""
    well = healthy_status()
    c101, c201, c301, c401 = well.cameras
    lost = {"codec": None, "fps": None, "kbit_s": None, "delay_ms": None}
    return replace(
        well,
        ready=False,
        problems=(
            "C201: camera refuses the user name or password; check cameras.credentials",
            "C301: camera sends the same picture again and again; restart the camera",
            "model: no bundle is loaded; put one at model.bundle",
        ),
        cameras=(
            c101,
            replace(
                c201,
                state=CameraState.TROUBLED,
                problem=Reason.UNAUTHORIZED,
                detail="401 Unauthorized; next attempt in 60 s",
                last_packet_age_s=312.0,
                connects=4,
                **lost,
            ),
            replace(c301, state=CameraState.TROUBLED, problem=Reason.FROZEN, clock="host"),
            replace(c401, state=CameraState.CONNECTING, last_packet_age_s=None, connects=0, **lost),
        ),
        scale=ScaleStatus(connected=False, phase="empty", detail="192.0.2.20:1702 refused"),
        model=ModelStatus(loaded=False, detail="model.zip: no such file"),
        disk_free_bytes=int(1.4 * GIB),
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


@dataclass
class ConsoleStation:
    """StationPort on real records; tests set `fault`, `state` and give the outcomes."""

    config: StationConfig
    grades_at_once: bool = True
    state: StationStatus = field(default_factory=healthy_status)
    fault: Exception | None = None
    """Raised by `announce`, if set."""
    status_fault: Exception | None = None
    """Raised by `status`, if set."""
    revision: int = 1

    def __post_init__(self) -> None:
        self.store = Store(self.config.data_dir / "records.sqlite")
        self.evidence = EvidenceFolder(self.config.data_dir / "evidence")
        self._changed = threading.Condition()
        self._seed = 0

    def status(self) -> StationStatus:
        """As set by the test."""
        if self.status_fault is not None:
            raise self.status_fault
        return self.state

    def bump(self) -> None:
        """Something has changed."""
        with self._changed:
            self.revision += 1
            self._changed.notify_all()

    def announce(
        self,
        *,
        source: str,
        ticket: str | None = None,
        plate: str | None = None,
        province: str | None = None,
        grower: str | None = None,
        weight_kg: float | None = None,
        instant: datetime | None = None,
    ) -> tuple[Arrival, bool]:
        """As Station.announce; grades at once unless told otherwise."""
        if self.fault is not None:
            raise self.fault
        arrival, new = self.store.accept(
            NewArrival(
                station="KK1",
                source=source,
                instant=instant or datetime.now(UTC),
                ticket=ticket,
                plate=plate,
                province=province,
                grower=grower,
                weight_kg=weight_kg,
            )
        )
        self.bump()
        if new and self.grades_at_once and instant is None:
            threading.Timer(1.0, self.grade, (arrival, Grade.FRESH_CLEAN)).start()
        return arrival, new

    def wait_for(self, arrival_id: str, timeout_s: float) -> Arrival | None:
        """As Station.wait_for."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                arrival = self.store.get(arrival_id)
                if arrival is not None and arrival.grading is not None:
                    return arrival
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def grade(
        self,
        arrival: Arrival,
        grade: Grade,
        confidence: float = 0.964,
        *,
        needs_person: bool = False,
        missing: tuple[str, ...] = (),
        size: tuple[int, int] = (2272, 1704),
    ) -> Arrival:
        """Records a grading with pictures."""
        rest = (1 - confidence) / 4
        graded = self.store.record(
            arrival.id,
            Outcome(
                outcome="graded",
                needs_person=needs_person,
                grade=grade,
                confidence=confidence,
                probabilities={g: confidence if g is grade else rest for g in GRADES},
                model_name="mobilenetv2-cane",
                model_version="2026.1.0",
                model_digest=DIGEST,
                graded_area=[0.08, 0.06, 0.92, 0.94],
                skew_ms=31.4,
                timings_ms=_TIMINGS,
                frames=self._frames(arrival, grade, missing, size),
            ),
        )
        self.bump()
        return graded

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
        refused = self.store.record(
            arrival.id,
            Outcome(
                outcome="refused",
                reason=reason,
                detail=detail,
                skew_ms=44.0,
                timings_ms={"wait": 2000.0, "total": 2051.3},
                frames=self._frames(arrival, Grade.FRESH_CLEAN, missing, size),
            ),
        )
        self.bump()
        return refused

    def _frames(
        self, arrival: Arrival, grade: Grade, missing: tuple[str, ...], size: tuple[int, int]
    ) -> tuple[FrameRecord, ...]:
        self._seed += 1
        frames = []
        for number, camera in enumerate(CAMERA_IDS):
            if camera in missing:
                frames.append(FrameRecord(camera=camera, problem=Reason.NO_FRAME))
                continue
            image = picture(grade, camera, self._seed, size)
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
    "resize": 3.2,
    "infer": 11.8,
    "jpeg": 64.0,
    "commit": 8.1,
    "total": 341.4,
}


def fill(station: ConsoleStation, size: tuple[int, int] = (2272, 1704)) -> dict[str, str]:
    """Trucks in every state, the newest last; returns arrival ids by a name for each."""
    ids: dict[str, str] = {}
    now = datetime.now(UTC)

    def come(name: str, minutes: float, **known: object) -> Arrival:
        arrival, _ = station.announce(
            source=str(known.pop("source", "ticket")),
            instant=now - timedelta(minutes=minutes),
            **known,  # type: ignore[arg-type]
        )
        ids[name] = arrival.id
        return arrival

    for number in range(40):
        truck = come(
            f"old-{number}",
            200 + 31 * number,
            ticket=f"T-2026-{100 + number:06d}",
            plate=f"82-{1000 + 7 * number}",
            province="ขอนแก่น",
            weight_kg=29000.0 + 10 * number,
        )
        station.grade(truck, GRADES[number % 4], 0.8 + 0.004 * number, size=(320, 240))
    long = come(
        "long-names",
        64,
        ticket="WEIGHBRIDGE-NORTH-2026/01/15-SHIFT-B-000000000000123456789-ABCDE",
        plate="ตจ-82-1234 ข้อความยาวมาก",
        province="พระนครศรีอยุธยา",
        grower="กลุ่มชาวไร่อ้อยอำเภอบ้านไผ่ สหกรณ์การเกษตร",
        weight_kg=38412.5,
    )
    station.grade(long, Grade.FRESH_TRASH, 0.71, size=size)
    for minutes, grade in enumerate(GRADES):
        truck = come(
            grade.value,
            50 - 7 * minutes,
            ticket=f"T-2026-{500 + minutes:06d}",
            plate=f"7{minutes}-482{minutes}",
            province="อุดรธานี",
            grower="G-00417",
            weight_kg=31240.0,
        )
        station.grade(truck, grade, 0.93 + 0.01 * minutes, size=size)
    nameless = come("nameless", 14, source="button")
    station.grade(nameless, Grade.BURN_CLEAN, 0.88, missing=("C101", "C401"), size=size)
    dark = come("refused", 9, ticket="T-2026-000600", plate="83-0042", province="ชัยภูมิ")
    station.refuse(dark, Reason.NO_FRAME, "C301: no frame within 2.0 s", size=size)
    unsure = come("needs-person", 4, ticket="T-2026-000601", plate="81-7780", weight_kg=30110.0)
    station.grade(unsure, Grade.BURN_TRASH, 0.47, needs_person=True, size=size)
    return ids


def main() -> None:
    """Serves the console on a filled station until interrupted."""
    import uvicorn

    from edge_agent.api import create_app
    from edge_agent.console import mount

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--state", default="filled", help="filled, empty, open or troubled")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    station = ConsoleStation(config(Path(mkdtemp(prefix="console-"))))
    if args.state != "empty":
        fill(station)
    if args.state == "open":
        station.announce(
            source="ticket",
            ticket="T-2026-000700",
            plate="70-1111",
            province="ขอนแก่น",
            instant=datetime.now(UTC),
        )
    if args.state == "troubled":
        station.state = troubled_status()
        station.fault = RecordError("records: disk is full; free space on the data disk")
    app = create_app(station)
    mount(app, station)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()

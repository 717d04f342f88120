"""States of a station for tests of the API and the console: all is well, or much is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from edge_agent.config import CAMERA_IDS
from edge_agent.reasons import Reason
from edge_agent.status import CameraState, CameraStatus, ModelStatus, ScaleStatus, StationStatus

DIGEST = "9f2c4be07a1d" * 5 + "9f2c"
MIB = 2**20


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
        disk_free_bytes=412_000 * MIB,
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
            "C201: camera refuses the user name or password (401; next attempt in 60 s)",
            "C301: camera sends the same picture again and again (the picture has not changed)",
            "model bundle model.zip: no such file",
            "scale indicator: 192.0.2.20:1702 refused",
            "data disk: only 716 MiB are free; make room",
        ),
        cameras=(
            c101,
            replace(
                c201,
                state=CameraState.TROUBLED,
                problem=Reason.UNAUTHORIZED,
                detail="401; next attempt in 60 s",
                last_packet_age_s=312.0,
                connects=4,
                **lost,
            ),
            replace(
                c301,
                state=CameraState.TROUBLED,
                problem=Reason.FROZEN,
                detail="the picture has not changed",
                clock="host",
            ),
            replace(c401, state=CameraState.CONNECTING, last_packet_age_s=None, connects=0, **lost),
        ),
        scale=ScaleStatus(connected=False, phase="empty", detail="192.0.2.20:1702 refused"),
        model=ModelStatus(loaded=False, detail="model bundle model.zip: no such file"),
        disk_free_bytes=716 * MIB,
    )


def scale_status(phase: str) -> StationStatus:
    """All is well, and the scale is in that phase: empty, rising, on_scale or leaving."""
    weights = {"empty": 0.0, "rising": 14460.0, "on_scale": 31240.0, "leaving": 9020.0}
    scale = ScaleStatus(
        connected=True,
        phase=phase,
        weight_kg=weights[phase],
        stable=phase in ("empty", "on_scale"),
    )
    return replace(healthy_status(), scale=scale)

"""Examples for /openapi.json, as they go over the wire; tests hold them to their models."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

Example = dict[str, JsonValue]

ANNOUNCEMENT: Final[Example] = {
    "ticket": "T-2026-000123",
    "plate": "82-1234",
    "province": "ขอนแก่น",
    "grower": "G-00417",
    "weight_kg": 31240,
}

_ID: Final = "7c0b7d4e-6f0f-4a0e-9a43-0d9a1f0f3b52"
_DIGESTS: Final = {
    "C101": "3b1f0c9d5e7a2468" * 4,
    "C201": "a90d4e6c1b3f5872" * 4,
    "C301": "5c7e91ab02d4f638" * 4,
    "C401": "e2468ace13579bdf" * 4,
}
_MODEL: Final[Example] = {
    "name": "mobilenetv2-cane",
    "version": "2026.1.0",
    "digest": "9f2c4be07a1d83c5" * 4,
}


def _frame(camera: str, millisecond: int) -> Example:
    """A frame taken at that millisecond of 03:20:41; the instant asked for is at 250."""
    return {
        "camera": camera,
        "problem": None,
        "problem_text": None,
        "captured_at": f"2026-01-15T03:20:41.{millisecond}Z",
        "clock": "rtcp",
        "error_ms": millisecond - 250.0,
        "width": 2272,
        "height": 1704,
        "sha256": _DIGESTS[camera],
        "evidence": f"/api/v1/arrivals/{_ID}/evidence/{camera}",
    }


_FRAMES: Final[list[JsonValue]] = [
    _frame("C101", 243),
    _frame("C201", 261),
    _frame("C301", 247),
    _frame("C401", 258),
]

_GRADING: Final[Example] = {
    "outcome": "graded",
    "needs_person": False,
    "grade": "burn_trash",
    "confidence": 0.9140625,
    "probabilities": {
        "fresh_clean": 0.001953125,
        "fresh_trash": 0.0234375,
        "burn_clean": 0.056640625,
        "burn_trash": 0.9140625,
        "undefined": 0.00390625,
    },
    "trash": {"low": 29.5, "middle": 38.25, "high": 50.75, "coverage": 0.9},
    "reason": None,
    "reason_text": None,
    "detail": None,
    "model": _MODEL,
    "graded_area": [0.0, 0.04, 1.0, 0.96],
    "skew_ms": 18.0,
    "latency_ms": 341.4,
    "timings_ms": {
        "wait": 182.4,
        "decode": 71.9,
        "check": 6.0,
        "resize": 3.2,
        "infer": 11.8,
        "grade": 4.1,
        "jpeg": 64.0,
        "total": 341.4,
    },
    "recorded_at": "2026-01-15T03:20:41.607Z",
    "frames": _FRAMES,
}

_UNSURE: Final[Example] = {
    **_GRADING,
    "needs_person": True,
    "confidence": 0.515625,
    "probabilities": {
        "fresh_clean": 0.00390625,
        "fresh_trash": 0.06640625,
        "burn_clean": 0.40625,
        "burn_trash": 0.515625,
        "undefined": 0.0078125,
    },
    "trash": {"low": 14.75, "middle": 25.5, "high": 41.0, "coverage": 0.9},
}

_REFUSAL: Final[Example] = {
    **_GRADING,
    "outcome": "refused",
    "grade": None,
    "confidence": None,
    "probabilities": None,
    "trash": None,
    "reason": "blurred",
    "reason_text": "picture is blurred",
    "detail": "sharpness 0.8, at least 2 is needed",
    "timings_ms": {"wait": 182.4, "decode": 71.9, "check": 6.0, "jpeg": 64.0, "total": 331.0},
    "latency_ms": 331.0,
    "frames": [
        *_FRAMES[:2],
        {**_frame("C301", 247), "problem": "blurred", "problem_text": "picture is blurred"},
        {
            "camera": "C401",
            "problem": "no_frame",
            "problem_text": "camera sent no picture for this instant",
            "captured_at": None,
            "clock": None,
            "error_ms": None,
            "width": None,
            "height": None,
            "sha256": None,
            "evidence": None,
        },
    ],
}


def _arrival(state: str, grading: Example | None) -> Example:
    return {
        "id": _ID,
        "station": "KK1",
        "source": "ticket",
        **ANNOUNCEMENT,
        "instant": "2026-01-15T03:20:41.250Z",
        "accepted_at": "2026-01-15T03:20:41.262Z",
        "state": state,
        "grading": grading,
    }


OPEN: Final = _arrival("open", None)
GRADED: Final = _arrival("graded", _GRADING)
NEEDS_PERSON: Final = _arrival("needs_person", _UNSURE)
REFUSED: Final = _arrival("refused", _REFUSAL)
PAGE: Final[Example] = {"total": 675, "limit": 1, "offset": 0, "items": [GRADED]}


def _camera(camera: str, delay_ms: float) -> Example:
    return {
        "camera": camera,
        "state": "streaming",
        "url": f"rtsp://192.0.2.10:554/Streaming/Channels/{camera[1:]}",
        "problem": None,
        "detail": None,
        "codec": "h264",
        "width": 2272,
        "height": 1704,
        "fps": 25.0,
        "kbit_s": 6144.0,
        "gop": 50,
        "clock": "rtcp",
        "delay_ms": delay_ms,
        "last_packet_age_s": 0.03,
        "connects": 1,
        "armed": True,
    }


_LOST: Final = (
    "rtsp://192.0.2.10:554/Streaming/Channels/401: nothing answers at that address; "
    "check address, cable and power"
)

STATION: Final[Example] = {
    "station": "KK1",
    "name": "Weighbridge 1",
    "version": "0.1.0",
    "started_at": "2026-01-14T22:05:12.481903Z",
    # An evidence camera is down: that is a problem, but trucks are graded.
    "ready": True,
    "problems": [f"C401: camera cannot be reached ({_LOST})"],
    "cameras": [
        _camera("C101", 128.0),
        _camera("C201", 170.5),
        _camera("C301", 182.4),
        {
            **_camera("C401", 0.0),
            "state": "troubled",
            "problem": "unreachable",
            "detail": _LOST,
            "fps": None,
            "kbit_s": None,
            "gop": None,
            "clock": None,
            "delay_ms": None,
            "last_packet_age_s": 312.0,
        },
    ],
    "scale": {
        "connected": True,
        "phase": "on_scale",
        "weight_kg": 31240.0,
        "stable": True,
        "detail": None,
    },
    "model": {
        "loaded": True,
        **_MODEL,
        "precision": "int8",
        "confidence_threshold": 0.66,
        "detail": None,
    },
    "waiting": 0,
    "disk_free_bytes": 431_852_847_104,
}

LIVE: Final[Example] = {"status": "live"}
READY: Final[Example] = {"ready": True, "problems": []}
NOT_READY: Final[Example] = {
    "ready": False,
    "problems": ["C301: camera has stopped sending pictures (no picture for 1.9 s)"],
}


def _error(code: str, message: str) -> Example:
    return {"error": {"code": code, "message": message}}


ERRORS: Final[dict[int, Example]] = {
    404: _error("no_such_arrival", f"arrival {_ID}: not known here; list GET /arrivals"),
    409: _error(
        "ticket_conflict",
        "ticket T-2026-000123: already recorded with plate 82-1234, not 83-9999; "
        "announce another truck with its own ticket",
    ),
    410: _error(
        "evidence_gone",
        f"arrival {_ID}: the picture of C201 is not on disk any more; look for it in a backup",
    ),
    422: _error("invalid", "weight_kg: input should be greater than or equal to 0"),
    500: _error(
        "internal",
        f"GET /api/v1/arrivals/{_ID}/evidence/C201: an unexpected fault; see the agent's log",
    ),
    503: _error(
        "records_unavailable",
        "the station's records cannot be used right now (RecordError); "
        "try again, and check the data disk if this stays",
    ),
}
"""By the status they come with."""

SCHEMAS: Final[dict[str, list[Example]]] = {
    "Announcement": [ANNOUNCEMENT],
    "ArrivalOut": [OPEN, GRADED, NEEDS_PERSON, REFUSED],
    "ArrivalPage": [PAGE],
    "ErrorBody": list(ERRORS.values()),
    "Live": [LIVE],
    "Ready": [READY, NOT_READY],
    "StationStatus": [STATION],
}
"""By the name of the schema."""

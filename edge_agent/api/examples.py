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
    401: _error("log_in", "the user name or the password is wrong"),
    403: _error(
        "no_engineers",
        "nobody may change models here: add an engineer under access.users in station.yaml "
        "(edge-agent password makes the hash)",
    ),
    404: _error("no_such_arrival", f"arrival {_ID}: not known here; list GET /arrivals"),
    408: _error("too_slow", "delivery: 4096 bytes in 16 s; check the network and push again"),
    409: _error(
        "ticket_conflict",
        "ticket T-2026-000123: already recorded with plate 82-1234, not 83-9999; "
        "announce another truck with its own ticket",
    ),
    410: _error(
        "evidence_gone",
        f"arrival {_ID}: the picture of C201 is not on disk any more; look for it in a backup",
    ),
    413: _error("too_large", "delivery: larger than 218103808 bytes; push one bundle at a time"),
    422: _error("invalid", "weight_kg: input should be greater than or equal to 0"),
    429: _error("too_many_log_ins", "too many log-ins at once; try again in a few seconds"),
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

_OLDER: Final = "1e7d02c94b5fa836" * 4
_GOLDEN: Final[Example] = {
    "path": "golden/burn_trash-1.png",
    "grade": "burn_trash",
    "expected": [0.0012, 0.0103, 0.0441, 0.9437, 0.0007],
    "got": [0.0012, 0.0103, 0.0443, 0.9435, 0.0007],
    "difference": 0.0002,
    "image": f"/api/v1/models/{_MODEL['digest']}/golden/burn_trash-1.png",
}
_TRIAL: Final[Example] = {
    "tolerance": 0.05,
    "latency_p50_ms": 8.4,
    "latency_p95_ms": 9.1,
    "memory_mb": 161.5,
    "took_s": 1.9,
    "golden": [_GOLDEN],
}


def _entry(digest: JsonValue, version: str, **now: JsonValue) -> Example:
    """A model that lies ready; `now` says what else it does."""
    return {
        "digest": digest,
        "target": f"mobilenetv2-cane-{version}.bundle",
        "name": "mobilenetv2-cane",
        "version": version,
        "size_bytes": 2_814_406,
        "added_at": "2026-01-14T22:05:12.481Z",
        "role": None,
        "since": None,
        "listed": True,
        "fault": None,
        "on_disk": True,
        "earlier": None,
        "trial": _TRIAL,
        **now,
    }


MODELS: Final[Example] = {
    "updates": True,
    "active": _OLDER,
    "shadow": {
        "digest": _MODEL["digest"],
        "since": "2026-01-15T01:10:00.000Z",
        "trucks": 41,
        "failed": 0,
        "doubtful": 2,
        "agreement": 0.9756097560975610,
        "confusion": [["burn_clean", "burn_trash", 1], ["fresh_clean", "fresh_clean", 40]],
        "candidate_ms": [8.5, 9.6],
        "active_ms": [8.4, 9.3],
        "complete": False,
    },
    "models": [
        _entry(_MODEL["digest"], "2026.1.0", role="shadow", since="2026-01-15T01:10:00.000Z"),
        _entry(_OLDER, "2025.12.2", role="active", since="2026-01-02T00:00:07.250Z"),
        _entry("77ab3c01d9e5f264" * 4, "2025.12.1", earlier=1),
    ],
    "trust": {
        "repository": "https://models.mill.example/canegrade",
        "refreshed_at": "2026-01-15T03:14:55.020Z",
        "expires_at": "2026-02-13T08:00:00.000Z",
        "problem": None,
    },
    "events": [
        {
            "at": "2026-01-15T01:10:00.000Z",
            "actor": "station",
            "action": "shadow",
            "digest": _MODEL["digest"],
            "ok": True,
            "detail": "mobilenetv2-cane 2026.1.0 (9f2c4be07a1d) grades unseen",
        }
    ],
}
RECEIPT: Final[Example] = {
    "digest": _MODEL["digest"],
    "accepted": True,
    "role": "active",
    "detail": "10 golden images, 9.1 ms a truck (95th percentile)",
    "trial": _TRIAL,
}
ROLL_BACK: Final[Example] = {"digest": _OLDER}

SCHEMAS: Final[dict[str, list[Example]]] = {
    "Announcement": [ANNOUNCEMENT],
    "ArrivalOut": [OPEN, GRADED, NEEDS_PERSON, REFUSED],
    "ArrivalPage": [PAGE],
    "ErrorBody": list(ERRORS.values()),
    "Live": [LIVE],
    "ModelsOut": [MODELS],
    "ReceiptOut": [RECEIPT],
    "RollBack": [ROLL_BACK],
    "Ready": [READY, NOT_READY],
    "StationStatus": [STATION],
}
"""By the name of the schema."""

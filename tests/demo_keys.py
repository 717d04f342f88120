"""What `cane-sim demo --json` prints, by its keys; docs/simulator-station.md describes them."""

from __future__ import annotations

from typing import Final

TRUCK_KEYS: Final = {
    "record_id",
    "ticket",
    "truth",
    "outcome",
    "reason",
    "grade",
    "probabilities",
    "trash",
    "frames",
    "skew_ms",
    "latency_ms",
}
SUMMARY_KEYS: Final = {
    "announced",
    "recorded",
    "graded",
    "refused",
    "accuracy",
    "skew_ms_p95",
    "latency_ms_p95",
}

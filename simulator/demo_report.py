"""The demo's report: what was true of each truck, and what the agent recorded of it.

docs/simulator-station.md describes the form for readers of the JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import quantiles
from typing import Any, Final, TypedDict

import httpx

from simulator.truth import Truck

NEEDS_PERSON: Final = "needs_person"
"""The reason of a graded truck of which the model is not sure enough."""


class Truth(TypedDict):
    """What is true of a truck. trash: percent of the visible load, 0 to 100."""

    grade: str
    trash: float
    region: str


class Capture(TypedDict):
    """When a camera's frame was taken (ISO 8601, UTC), and by which clock: rtcp or host."""

    captured_at: str
    clock: str


class Estimate(TypedDict):
    """The agent's estimate of trash in percent, and the interval that is to hold the truth of the
    share `coverage` of trucks."""

    low: float
    middle: float
    high: float
    coverage: float


class Entry(TypedDict):
    """One announced truck; what is not known or does not apply is None."""

    record_id: str | None
    ticket: str
    truth: Truth
    outcome: str | None
    reason: str | None
    grade: str | None
    probabilities: dict[str, float] | None
    trash: Estimate | None
    frames: dict[str, Capture]
    skew_ms: float | None
    latency_ms: float | None


class Summary(TypedDict):
    """Counts of trucks, and shares and percentiles over those that were graded."""

    announced: int
    recorded: int
    graded: int
    refused: int
    accuracy: float | None
    skew_ms_p95: float | None
    latency_ms_p95: float | None


class Report(TypedDict):
    """What `cane-sim demo --json` prints."""

    trucks: list[Entry]
    summary: Summary


def entry(truck: Truck, ticket: str, arrival: Mapping[str, Any] | None = None) -> Entry:
    """A truck with what the agent's API tells of its arrival; None: the agent took none."""
    arrival = arrival or {}
    grading = arrival.get("grading") or {}
    return {
        "record_id": arrival.get("id"),
        "ticket": ticket,
        "truth": {
            "grade": truck.grade.value,
            "trash": round(truck.trash_share, 1),
            "region": truck.region,
        },
        "outcome": grading.get("outcome"),
        "reason": NEEDS_PERSON if grading.get("needs_person") else grading.get("reason"),
        "grade": grading.get("grade"),
        "probabilities": grading.get("probabilities"),
        "trash": grading.get("trash"),
        "frames": {
            frame["camera"]: {"captured_at": frame["captured_at"], "clock": frame["clock"]}
            for frame in grading.get("frames", [])
            if frame["captured_at"] is not None
        },
        "skew_ms": _rounded(grading.get("skew_ms")),
        "latency_ms": _rounded(grading.get("latency_ms")),
    }


def report(entries: list[Entry]) -> Report:
    """The report of the trucks announced so far."""
    graded = [e for e in entries if e["outcome"] == "graded"]
    right = sum(e["grade"] == e["truth"]["grade"] for e in graded)
    return {
        "trucks": entries,
        "summary": {
            "announced": len(entries),
            "recorded": sum(e["outcome"] is not None for e in entries),
            "graded": len(graded),
            "refused": sum(e["outcome"] == "refused" for e in entries),
            "accuracy": round(right / len(graded), 4) if graded else None,
            "skew_ms_p95": _p95(e["skew_ms"] for e in graded),
            "latency_ms_p95": _p95(e["latency_ms"] for e in graded),
        },
    }


def exit_code(summary: Summary, asked: int | None, fault: str | None) -> int:
    """The demo's exit code: 0, 1 if a truck is without a record, 2 if the demo could not go on.

    asked: how many trucks were to come; None: until somebody stopped it.
    """
    if fault is not None:
        return 2
    # Stopped by hand, there may be a truck on the scale whose grade nobody waited for.
    complete = asked is None or asked == summary["announced"] == summary["recorded"]
    return 0 if complete else 1


def in_words(arrival: Mapping[str, Any]) -> str:
    """The outcome of an arrival for the log."""
    grading = arrival.get("grading")
    if grading is None:
        return "no outcome yet"
    if grading["outcome"] == "refused":
        return f"refused: {grading['reason_text']}"
    unsure = ", but a person is to look" if grading["needs_person"] else ""
    return f"graded {grading['grade']}{unsure}"


def fault_in_words(error: Exception, agent_log: Path) -> str:
    """Why the demo could not go on, in one line."""
    if isinstance(error, httpx.HTTPStatusError):
        answer = f"{error.response.status_code} {error.response.text[:200]}"
        words = f"the agent answers {answer}; see {agent_log}"
    elif isinstance(error, httpx.HTTPError):
        words = f"the agent does not answer: {str(error) or type(error).__name__}; see {agent_log}"
    else:
        # Such as a worker process that was killed for its memory.
        words = str(error)
    return " ".join(words.split())


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 2)


def _p95(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    # quantiles() wants two values at least; twice the only one is that one.
    return round(quantiles(known if len(known) > 1 else known * 2, n=20, method="inclusive")[-1], 2)

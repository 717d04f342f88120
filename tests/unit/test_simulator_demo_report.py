"""The demo's report, from records that a real API gives out, and the exit code that follows."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from console_station import ConsoleStation, config
from demo_keys import SUMMARY_KEYS, TRUCK_KEYS
from serving import Serving

from edge_agent.api import create_app
from edge_agent.errors import RecordError
from edge_agent.grades import GRADES, Grade
from edge_agent.reasons import Reason
from simulator.demo_report import Entry, entry, exit_code, fault_in_words, report
from simulator.truth import draw_truck

SMALL = (320, 240)
DOCS = Path(__file__).parents[2] / "docs" / "simulator-station.md"
TRUCK = draw_truck(np.random.default_rng(7), 0.3, Grade.BURN_TRASH)


class Records:
    """A station with records and its API; each method gives the entry of one more truck."""

    def __init__(self, station: ConsoleStation, url: str) -> None:
        self.station = station
        self.url = url

    def graded(self, grade: Grade, **known: Any) -> Entry:
        arrival, ticket = self._announce()
        self.station.grade(arrival, grade, size=SMALL, **known)
        return self._entry(arrival.id, ticket)

    def refused(self, reason: Reason) -> Entry:
        arrival, ticket = self._announce()
        self.station.refuse(arrival, reason, size=SMALL)
        return self._entry(arrival.id, ticket)

    def open(self) -> Entry:
        arrival, ticket = self._announce()
        return self._entry(arrival.id, ticket)

    def _announce(self) -> tuple[Any, str]:
        ticket = f"R-{self.station.revision}"
        return self.station.announce(source="ticket", ticket=ticket)[0], ticket

    def _entry(self, arrival_id: str, ticket: str) -> Entry:
        answer = httpx.get(f"{self.url}/api/v1/arrivals/{arrival_id}").raise_for_status()
        return entry(TRUCK, ticket, answer.json())


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    station = ConsoleStation(config(tmp_path_factory.mktemp("station")))
    with Serving(create_app(station)) as server:
        yield Records(station, server.url)
    station.stop()


def test_graded_truck(records: Records) -> None:
    graded = records.graded(Grade.BURN_TRASH)
    assert set(graded) == TRUCK_KEYS
    assert graded["truth"] == {
        "grade": "burn_trash",
        "trash": round(TRUCK.trash_share, 1),
        "region": TRUCK.region,
    }
    assert (graded["outcome"], graded["reason"], graded["grade"]) == ("graded", None, "burn_trash")
    assert graded["probabilities"] is not None
    assert set(graded["probabilities"]) == set(GRADES)
    assert set(graded["frames"]) == {"C101", "C201", "C301", "C401"}
    assert all(set(frame) == {"captured_at", "clock"} for frame in graded["frames"].values())
    assert graded["frames"]["C301"]["clock"] == "rtcp"
    assert graded["frames"]["C401"]["clock"] == "host"
    assert (graded["skew_ms"], graded["latency_ms"]) == (31.4, 341.4)
    assert graded["trash"] is None
    estimated = records.graded(Grade.BURN_TRASH, trash=(40.0, 52.5, 66.0))
    assert estimated["trash"] == {"low": 40.0, "middle": 52.5, "high": 66.0, "coverage": 0.9}


def test_truck_for_a_person_is_graded_and_says_why_not_simply(records: Records) -> None:
    unsure = records.graded(Grade.BURN_CLEAN, needs_person=True)
    assert set(unsure) == TRUCK_KEYS
    assert (unsure["outcome"], unsure["reason"]) == ("graded", "needs_person")
    assert unsure["grade"] == "burn_clean"


def test_refused_truck_has_its_reason_and_the_frames_there_were(records: Records) -> None:
    refused = records.refused(Reason.STALLED)
    assert set(refused) == TRUCK_KEYS
    assert (refused["outcome"], refused["reason"]) == ("refused", "stalled")
    assert refused["grade"] is refused["probabilities"] is refused["trash"] is None
    assert set(refused["frames"]) == {"C101", "C201", "C401"}


def test_truck_without_an_outcome_and_truck_the_agent_never_took(records: Records) -> None:
    waiting, lost = records.open(), entry(TRUCK, "LOST")
    assert waiting["record_id"] is not None
    assert lost["record_id"] is None
    for truck in (waiting, lost):
        assert set(truck) == TRUCK_KEYS
        assert truck["outcome"] is None
        assert truck["frames"] == {}


def test_summary_counts_and_measures_the_graded(records: Records) -> None:
    entries = [
        records.graded(Grade.BURN_TRASH),
        records.graded(Grade.BURN_CLEAN, needs_person=True),
        records.refused(Reason.BLACK),
        records.open(),
    ]
    entries[0]["latency_ms"], entries[1]["latency_ms"] = 300.0, 400.0
    result = report(entries)
    assert set(result) == {"trucks", "summary"}
    assert result["trucks"] == entries
    assert result["summary"] == {
        "announced": 4,
        "recorded": 3,
        "graded": 2,
        "refused": 1,
        "accuracy": 0.5,
        "skew_ms_p95": 31.4,
        "latency_ms_p95": 395.0,
    }
    assert json.loads(json.dumps(result)) == result


def test_summary_of_nothing() -> None:
    summary = report([])["summary"]
    assert set(summary) == SUMMARY_KEYS
    assert summary["announced"] == 0
    assert summary["accuracy"] is summary["skew_ms_p95"] is summary["latency_ms_p95"] is None


def test_fault_is_one_line_that_says_what_to_look_at(records: Records) -> None:
    log = Path("agent.log")
    records.station.fault = RecordError("records: database is locked")
    with httpx.Client(base_url=records.url) as client:
        answer = client.post("/api/v1/arrivals", json={"ticket": "F-1"})
    records.station.fault = None
    with pytest.raises(httpx.HTTPStatusError) as refused:
        answer.raise_for_status()
    assert fault_in_words(refused.value, log).startswith("the agent answers 503 ")
    assert "records_unavailable" in fault_in_words(refused.value, log)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(httpx.ConnectError) as gone:
        httpx.get(f"http://127.0.0.1:{port}")
    words = fault_in_words(gone.value, log)
    assert words == "the agent does not answer: [Errno 111] Connection refused; see agent.log"
    assert fault_in_words(RuntimeError("a worker\nhas died"), log) == "a worker has died"


def test_documented_json_has_the_keys_of_the_report(records: Records) -> None:
    blocks = DOCS.read_text(encoding="utf-8").split("```json\n")[1:]
    documented = json.loads(blocks[0].split("```")[0])
    result = report([records.graded(Grade.FRESH_CLEAN)])
    assert shape(documented) == shape(json.loads(json.dumps(result)))


def shape(value: Any) -> Any:
    """The keys of nested objects, and of the objects in lists."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else None


def test_exit_code(records: Records) -> None:
    done = [records.graded(Grade.BURN_TRASH), records.refused(Reason.BLACK)]
    whole = report(done)["summary"]
    lacking = report([*done, records.open()])["summary"]
    assert exit_code(whole, 2, None) == 0
    assert exit_code(lacking, 3, None) == 1
    assert exit_code(whole, 3, None) == 1, "interrupted before the third came"
    assert exit_code(whole, 2, "the agent does not answer") == 2
    assert exit_code(lacking, None, None) == 0, "stopped by hand with a truck on the scale"

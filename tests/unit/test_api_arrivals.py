"""Announcing trucks and reading them, over a real server on loopback."""

from __future__ import annotations

import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from console_station import ConsoleStation, config
from hypothesis import given
from hypothesis import strategies as st
from serving import Serving
from sqlalchemy.exc import OperationalError

from edge_agent.api import create_app
from edge_agent.api.schemas import clean_ticket
from edge_agent.errors import RecordError
from edge_agent.grades import Grade
from edge_agent.reasons import Reason
from edge_agent.records.store import Query

SMALL = (320, 240)
TRUCK = {"ticket": "T-1", "plate": "82-1234", "province": "ขอนแก่น", "weight_kg": 31240}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ConsoleStation, str]]:
    station = ConsoleStation(config(tmp_path_factory.mktemp("station")))
    with Serving(create_app(station)) as server:
        yield station, server.url
    station.stop()


@pytest.fixture
def station(served: tuple[ConsoleStation, str]) -> Iterator[ConsoleStation]:
    yield served[0]
    served[0].fault = None


@pytest.fixture
def client(served: tuple[ConsoleStation, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[1] + "/api/v1", timeout=40) as client:
        yield client


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an error in the one shape."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert "\n" not in body["error"]["message"]
    return response.status_code, body["error"]["code"], body["error"]["message"]


def test_new_ticket_is_committed_before_the_answer(
    station: ConsoleStation, client: httpx.Client
) -> None:
    response = client.post("/arrivals", json=TRUCK | {"ticket": "T-new"})
    assert response.status_code == 201
    body = response.json()
    assert response.headers["location"] == f"/api/v1/arrivals/{body['id']}"
    stored = station.store.get(body["id"])
    assert stored is not None
    assert (stored.ticket, stored.plate, stored.source) == ("T-new", "82-1234", "ticket")
    assert body["state"] == "open"
    assert datetime.fromisoformat(body["instant"]).tzinfo == UTC
    assert body["instant"].endswith("Z")


def test_known_ticket_answers_200_with_the_same_truck(client: httpx.Client) -> None:
    first = client.post("/arrivals", json=TRUCK | {"ticket": "T-twice"})
    again = client.post("/arrivals", json={"ticket": " T-twice "})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]


def test_concurrent_posts_of_one_ticket_make_one_truck(
    station: ConsoleStation, client: httpx.Client
) -> None:
    def post(_: int) -> httpx.Response:
        return client.post("/arrivals", json=TRUCK | {"ticket": "T-race"})

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(post, range(24)))
    assert sorted(r.status_code for r in responses) == [200] * 23 + [201]
    assert len({r.json()["id"] for r in responses}) == 1
    assert station.store.count(Query(text="T-race")) == 1


@pytest.mark.parametrize("change", [{"plate": "83-9999"}, {"province": "เลย"}])
def test_known_ticket_with_another_truck_is_refused(
    client: httpx.Client, change: dict[str, str]
) -> None:
    client.post("/arrivals", json=TRUCK | {"ticket": "T-conflict"})
    status, code, message = error_of(
        client.post("/arrivals", json=TRUCK | {"ticket": "T-conflict"} | change)
    )
    assert (status, code) == (409, "ticket_conflict")
    assert "T-conflict" in message


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "ticket"),
        ({"ticket": ""}, "ticket"),
        ({"ticket": "   "}, "ticket"),
        ({"ticket": "a\nb"}, "ticket"),
        ({"ticket": "<script>"}, "ticket"),
        ({"ticket": "x" * 65}, "ticket"),
        ({"ticket": "T", "plate": "a\x00b"}, "plate"),
        ({"ticket": "T", "weight_kg": -1}, "weight_kg"),
        ({"ticket": "T", "weight_kg": "heavy"}, "weight_kg"),
        ({"ticket": "T", "colour": "red"}, "colour"),
        ({"ticket": "T", "weighed_at": "0001-01-01T00:00:00+07:00"}, "weighed_at"),
    ],
)
def test_invalid_announcements_name_the_field(
    client: httpx.Client, body: dict[str, object], named: str
) -> None:
    status, code, message = error_of(client.post("/arrivals", json=body))
    assert (status, code) == (422, "invalid")
    assert message.startswith(f"{named}: ")


def test_body_must_be_json_and_small(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    bad = client.post("/arrivals", content=b"{", headers=headers)
    assert error_of(bad)[:2] == (422, "invalid")
    large = client.post("/arrivals", content=b" " * 20_000, headers=headers)
    assert error_of(large)[:2] == (413, "too_large")
    chunks = (b" " * 1000 for _ in range(20))
    assert error_of(client.post("/arrivals", content=chunks, headers=headers))[0] == 413


@pytest.mark.parametrize(
    "fault",
    [RecordError("records: disk is full"), OperationalError("x", {}, Exception("locked"))],
)
def test_store_refusing_answers_503_with_retry_after(
    station: ConsoleStation, client: httpx.Client, fault: Exception
) -> None:
    station.fault = fault
    response = client.post("/arrivals", json=TRUCK | {"ticket": "T-full"})
    assert error_of(response)[:2] == (503, "records_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert station.store.count(Query(text="T-full")) == 0


def test_wait_answers_when_the_outcome_is_there(
    station: ConsoleStation, client: httpx.Client
) -> None:
    body = client.post("/arrivals", json=TRUCK | {"ticket": "T-wait"}).json()
    arrival = station.store.get(body["id"])
    assert arrival is not None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, f"/arrivals/{arrival.id}", params={"wait": 30})
        station.grade(arrival, Grade.BURN_TRASH, 0.91, size=SMALL)
        done = waiting.result().json()
    assert done["state"] == "graded"
    assert done["grading"]["grade"] == "burn_trash"
    assert done["grading"]["latency_ms"] == pytest.approx(341.4)
    assert sum(done["grading"]["probabilities"].values()) == pytest.approx(1.0)
    assert [f["camera"] for f in done["grading"]["frames"]] == ["C101", "C201", "C301", "C401"]


def test_an_estimate_of_trash_goes_over_the_wire_with_its_interval(
    station: ConsoleStation, client: httpx.Client
) -> None:
    plain, _ = station.announce(source="button")
    station.grade(plain, Grade.FRESH_TRASH, size=SMALL)
    assert client.get(f"/arrivals/{plain.id}").json()["grading"]["trash"] is None
    arrival, _ = station.announce(source="button")
    station.grade(arrival, Grade.FRESH_TRASH, trash=(29.5, 38.25, 50.75), size=SMALL)
    expected = {"low": 29.5, "middle": 38.25, "high": 50.75, "coverage": 0.9}
    assert client.get(f"/arrivals/{arrival.id}").json()["grading"]["trash"] == expected
    newest = client.get("/arrivals", params={"limit": 1}).json()["items"][0]
    assert newest["grading"]["trash"] == expected


def test_open_arrival_is_returned_when_the_wait_is_over(client: httpx.Client) -> None:
    body = client.post("/arrivals", json=TRUCK | {"ticket": "T-still-open"}).json()
    response = client.get(f"/arrivals/{body['id']}", params={"wait": 0.05})
    assert response.json()["state"] == "open"


def test_refusal_carries_code_and_text(station: ConsoleStation, client: httpx.Client) -> None:
    arrival, _ = station.announce(source="button")
    station.refuse(arrival, Reason.BLURRED, "sharpness 3.1", missing=("C401",), size=SMALL)
    grading = client.get(f"/arrivals/{arrival.id}").json()["grading"]
    assert (grading["reason"], grading["reason_text"]) == ("blurred", "picture is blurred")
    missing = grading["frames"][3]
    assert (missing["problem"], missing["evidence"]) == ("no_frame", None)


def test_unknown_addresses_have_the_one_error_shape(client: httpx.Client) -> None:
    assert error_of(client.get("/arrivals/nope"))[:2] == (404, "no_such_arrival")
    assert error_of(client.get("/nothing"))[:2] == (404, "not_found")
    assert error_of(client.delete("/arrivals"))[0] in (404, 405)


def test_list_filters_and_pages(tmp_path: Path) -> None:
    station = ConsoleStation(config(tmp_path))
    start = datetime(2026, 1, 15, 3, tzinfo=UTC)
    for number in range(7):
        arrival = station.came(start + timedelta(hours=number), ticket=f"T-{number}")
        if number == 0:
            station.refuse(arrival, Reason.BLACK, size=SMALL)
        elif number < 6:
            grade = Grade.FRESH_CLEAN if number % 2 else Grade.BURN_CLEAN
            station.grade(arrival, grade, needs_person=number == 5, size=SMALL)
    with (
        Serving(create_app(station)) as server,
        httpx.Client(base_url=server.url + "/api/v1") as client,
    ):

        def tickets(**query: object) -> list[str]:
            body = client.get("/arrivals", params=query).json()
            return [item["ticket"] for item in body["items"]]

        assert tickets() == [f"T-{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
        assert tickets(limit=2, offset=3) == ["T-3", "T-2"]
        assert tickets(grade="burn_clean") == ["T-4", "T-2"]
        assert tickets(outcome="refused") == ["T-0"]
        assert tickets(outcome="needs_person") == ["T-5"]
        assert tickets(outcome="open") == ["T-6"]
        assert tickets(text="T-3") == ["T-3"]
        assert tickets(since="2026-01-15T12:00:00+07:00", limit=1, offset=4) == ["T-2"]
        assert tickets(until="2026-01-15T04:00:00Z") == ["T-0"]
        page = client.get("/arrivals", params={"limit": 2}).json()
        assert (page["total"], page["limit"], page["offset"]) == (7, 2, 0)
        nonsense = [{"since": "2026-01-15T03:00:00"}, {"since": "0001-01-01T00:00:00+07:00"}]
        for query in (*nonsense, {"grade": "x"}, {"limit": 0}):
            assert error_of(client.get("/arrivals", params=query))[:2] == (422, "invalid")
    station.stop()


@given(st.text(max_size=80))
def test_accepted_tickets_are_printable_and_stable(text: str) -> None:
    try:
        ticket = clean_ticket(text)
    except ValueError:
        return
    assert ticket.isprintable()
    assert ticket == ticket.strip() != ""
    assert not set(ticket) & set("<>\"'&\\{}|;`$%")
    assert clean_ticket(ticket) == ticket


@given(st.text(string.ascii_letters + string.digits + "-_./#:+()กขคที่ำ", min_size=1))
def test_usual_tickets_are_accepted(text: str) -> None:
    assert clean_ticket(f"T{text}").startswith("T")

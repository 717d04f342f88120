"""Station, health, metrics, guards and OpenAPI over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from console_states import troubled_status
from console_station import PASSWORD, ConsoleStation, config
from prometheus_client.parser import text_string_to_metric_families
from serving import Serving
from starlette.datastructures import Headers

from edge_agent.api import create_app
from edge_agent.api.guards import is_cross_site, is_own_host
from edge_agent.errors import RecordError
from edge_agent.grades import Grade
from edge_agent.reasons import Reason

SMALL = (320, 240)
Setup = tuple[ConsoleStation, httpx.Client]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    monkeypatch.setenv("CONSOLE_TEST_PASSWORD", PASSWORD)
    station = ConsoleStation(config(tmp_path))
    with Serving(create_app(station)) as server, httpx.Client(base_url=server.url) as client:
        yield station, client
    station.stop()


def samples(client: httpx.Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of /metrics by name and labels."""
    text = client.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"canegrade_{name}", frozenset(labels.items())


def test_no_request_has_to_wait_for_a_route_to_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSOLE_TEST_PASSWORD", PASSWORD)
    station = ConsoleStation(config(tmp_path))
    app = create_app(station)

    def built(*_: object, **__: object) -> None:
        raise AssertionError("a route is built")

    monkeypatch.setattr("fastapi.dependencies.utils.create_model_field", built)
    with Serving(app) as server, httpx.Client(base_url=server.url) as client:
        for path in ("/health/live", "/metrics", "/api/v1/models", "/api/v1/records", "/api/v1/x"):
            assert client.get(path).status_code in (200, 401, 404)
    station.stop()


def test_health_tells_ready_from_live(setup: Setup) -> None:
    station, client = setup
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").json() == {"ready": True, "problems": []}
    station.state = troubled_status()
    ready = client.get("/health/ready")
    assert ready.status_code == 503
    assert tuple(ready.json()["problems"]) == troubled_status().problems
    assert client.get("/health/live").status_code == 200


def test_station_shows_everything_but_secrets(setup: Setup) -> None:
    station, client = setup
    station.state = troubled_status()
    response = client.get("/api/v1/station")
    body = response.json()
    assert body["cameras"][1]["problem"] == "unauthorized"
    assert body["started_at"].endswith("Z")
    assert PASSWORD not in response.text


def test_metrics_count_each_outcome_once(setup: Setup) -> None:
    station, client = setup
    first, _ = station.announce(source="button")
    second, _ = station.announce(source="button")
    station.announce(source="button")
    station.grade(first, Grade.BURN_CLEAN, size=SMALL)
    graded = key("trucks_total", outcome="graded", grade="burn_clean")
    assert samples(client)[graded] == 1
    station.refuse(second, Reason.BLACK, size=SMALL)
    third, _ = station.announce(source="button")
    station.grade(third, Grade.BURN_CLEAN, 0.4, needs_person=True, size=SMALL)
    for _ in range(2):
        found = samples(client)
        assert found[graded] == 1
        assert found[key("trucks_total", outcome="refused", grade="")] == 1
        assert found[key("trucks_total", outcome="needs_person", grade="burn_clean")] == 1
        assert found[key("refusals_total", reason="black")] == 1
        assert found[key("latency_seconds_count")] == 3


def test_metrics_show_cameras_scale_and_model(setup: Setup) -> None:
    station, client = setup
    found = samples(client)
    assert found[key("camera_up", camera="C301")] == 1
    assert found[key("camera_delay_seconds", camera="C101")] == pytest.approx(0.13)
    assert found[key("scale_weight_kg")] == 31240
    assert found[key("ready")] == 1
    assert any(name == "canegrade_model_info" for name, _ in found)
    station.state = troubled_status()
    found = samples(client)
    assert found[key("camera_up", camera="C301")] == 0
    assert found[key("model_loaded")] == 0
    assert key("camera_delay_seconds", camera="C201") not in found


def test_metrics_stay_up_without_records(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    station, client = setup

    def refuse(*_: object, **__: object) -> None:
        raise RecordError("records: disk is gone")

    for read in ("gradings_after", "find"):
        monkeypatch.setattr(station.store, read, refuse)
    assert samples(client)[key("scrapes_without_records_total")] == 1
    assert client.get("/api/v1/arrivals").status_code == 503


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_other_sites_cannot_announce(setup: Setup, headers: dict[str, str]) -> None:
    _, client = setup
    response = client.post("/api/v1/arrivals", json={"ticket": "T-1"}, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "cross_site")
    assert client.get("/api/v1/arrivals", headers=headers).json()["total"] == 0


def test_own_pages_and_programs_can_announce(setup: Setup) -> None:
    _, client = setup
    own = {"origin": str(client.base_url).rstrip("/")}
    for number, headers in enumerate(({}, own, {"sec-fetch-site": "same-origin"})):
        body = {"ticket": f"T-{number}"}
        assert client.post("/api/v1/arrivals", json=body, headers=headers).status_code == 201


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "a:8080", "origin": "http://a:8080"}, False),
        ({"host": "a", "origin": "http://a:80"}, False),
        ({"host": "a:8080", "origin": "http://a:8081"}, True),
        ({"host": "A:8080", "origin": "http://a:8080"}, False),
        ({"host": "a", "origin": "http://a:x"}, True),
        ({"host": "", "origin": "null"}, True),
        ({"host": "inner", "origin": "https://outer", "sec-fetch-site": "same-origin"}, False),
    ],
)
def test_origin_is_compared_with_host(headers: dict[str, str], expected: bool) -> None:
    assert is_cross_site(Headers(headers), "http") is expected


def test_openapi_describes_itself(setup: Setup) -> None:
    _, client = setup
    schema = client.get("/openapi.json").json()
    announce = schema["paths"]["/api/v1/arrivals"]["post"]
    assert set(announce["responses"]) >= {"200", "201", "409", "422", "503"}
    for path in schema["paths"].values():
        for operation in path.values():
            assert operation["description"]
            assert operation["tags"]


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("192.0.2.7", True),
        ("localhost:8080", True),
        ("Bridge-1.mill.example", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("a b", False),
        ("localhost:port", False),
    ],
)
def test_only_own_host_names_are_served(host: str, own: bool) -> None:
    assert is_own_host(host, frozenset({"bridge-1.mill.example"})) is own


def test_rebound_name_gets_nothing(setup: Setup) -> None:
    _, client = setup
    for path in ("/api/v1/station", "/health/live", "/metrics"):
        answer = client.get(path, headers={"Host": "evil.example"})
        assert answer.status_code == 421
        assert "http.names" in answer.json()["error"]["message"]

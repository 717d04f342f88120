"""Evidence pictures over HTTP: whole, as thumbnails, gone, altered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from console_station import ConsoleStation, config
from serving import Serving

from edge_agent.api import create_app
from edge_agent.grades import Grade
from edge_agent.records.models import Arrival

Setup = tuple[ConsoleStation, Arrival, httpx.Client]


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    station = ConsoleStation(config(tmp_path))
    arrival, _ = station.announce(source="ticket", ticket="T-1")
    arrival = station.grade(arrival, Grade.FRESH_CLEAN, missing=("C401",), size=(800, 600))
    with Serving(create_app(station)) as server, httpx.Client(base_url=server.url) as client:
        yield station, arrival, client
    station.stop()


def address(arrival: Arrival, camera: str) -> str:
    return f"/api/v1/arrivals/{arrival.id}/evidence/{camera}"


def path_of(station: ConsoleStation, arrival: Arrival, camera: str) -> Path:
    assert arrival.grading is not None
    frame = next(f for f in arrival.grading.frames if f.camera == camera)
    return station.evidence.root / str(frame.path)


def test_whole_picture_is_the_recorded_file(setup: Setup) -> None:
    station, arrival, client = setup
    response = client.get(address(arrival, "C301"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/jpeg"
    assert response.content == path_of(station, arrival, "C301").read_bytes()
    digest = hashlib.sha256(response.content).hexdigest()
    assert response.headers["etag"] == f'"{digest}"'
    assert "private" in response.headers["cache-control"]
    again = client.get(address(arrival, "C301"), headers={"if-none-match": f'"{digest}"'})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(("asked", "got"), [(1, 160), (300, 320), (640, 640), (1920, 800)])
def test_thumbnails_have_bounded_widths(setup: Setup, asked: int, got: int) -> None:
    _, arrival, client = setup
    response = client.get(address(arrival, "C301"), params={"width": asked})
    image = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[:2] == (got * 3 // 4, got)
    whole = client.get(address(arrival, "C301")).headers["etag"]
    assert response.headers["etag"] != whole


@pytest.mark.parametrize("width", [0, -1, 1921, "x"])
def test_other_widths_are_refused(setup: Setup, width: object) -> None:
    _, arrival, client = setup
    response = client.get(address(arrival, "C301"), params={"width": width})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid")


def test_missing_pictures_say_which_kind(setup: Setup) -> None:
    station, arrival, client = setup
    missing = client.get(address(arrival, "C401"))
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no_evidence")
    assert client.get(address(arrival, "C999")).status_code == 422
    path_of(station, arrival, "C101").unlink()
    gone = client.get(address(arrival, "C101"))
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "evidence_gone")


@pytest.mark.parametrize("query", [{}, {"width": 320}])
def test_an_altered_picture_is_not_shown(setup: Setup, query: dict[str, int]) -> None:
    station, arrival, client = setup
    file = path_of(station, arrival, "C201")
    file.write_bytes(file.read_bytes()[:-2] + b"xx")
    response = client.get(address(arrival, "C201"), params=query)
    assert (response.status_code, response.json()["error"]["code"]) == (500, "evidence_altered")

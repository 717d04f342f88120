"""The examples of /openapi.json: there for every body, valid, and what a station really sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_station import ConsoleStation, config
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter
from serving import Serving

from edge_agent.api import create_app, examples
from edge_agent.api.errors import ErrorBody
from edge_agent.api.health import Live, Ready
from edge_agent.api.model_schemas import ModelsOut, ReceiptOut, RollBack
from edge_agent.api.schemas import Announcement, ArrivalOut, ArrivalPage, State
from edge_agent.errors import RecordError
from edge_agent.reasons import TEXTS, Reason
from edge_agent.status import StationStatus

BODIES: dict[str, type] = {
    model.__name__: model
    for model in (
        Announcement,
        ArrivalOut,
        ArrivalPage,
        ErrorBody,
        Live,
        ModelsOut,
        Ready,
        ReceiptOut,
        RollBack,
        StationStatus,
    )
}
"""Every model that is a whole body."""


@pytest.fixture
def station(tmp_path: Path) -> Iterator[ConsoleStation]:
    station = ConsoleStation(config(tmp_path))
    yield station
    station.stop()


@pytest.fixture
def app(station: ConsoleStation) -> FastAPI:
    return create_app(station)


def bodies(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each JSON body of a request or an answer is described, and how."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            described = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for name, body in described.items():
                content = body.get("content", {})
                if "application/json" in content:
                    yield f"{method} {path} {name}", content["application/json"]


def parts(value: object) -> Iterator[str]:
    """The names of all models in a body."""
    children: list[object] = []
    if isinstance(value, BaseModel):
        yield type(value).__name__
        children = [getattr(value, name) for name in type(value).model_fields]
    elif is_dataclass(value):
        yield type(value).__name__
        children = [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, list | tuple):
        children = list(value)
    for child in children:
        yield from parts(child)


def checked(model: type, example: object) -> Any:
    """The body of an example; fails unless it is sent in exactly that form."""
    adapter = TypeAdapter(model)
    body = adapter.validate_python(example)
    # What a caller sends may leave optional keys out; what a station sends has them all.
    sent = adapter.dump_python(body, mode="json", exclude_unset=model in (Announcement, RollBack))
    assert sent == example
    return body


def test_every_body_has_an_example_that_is_one(app: FastAPI) -> None:
    document = app.openapi()
    schemas = document["components"]["schemas"]
    shown: set[str] = set()
    places = dict(bodies(document))
    assert len(places) >= 20
    for place, content in places.items():
        name = content["schema"]["$ref"].rsplit("/", 1)[-1]
        given = [content["example"]] if "example" in content else schemas[name].get("examples")
        assert given, f"{place}: no example"
        if name == "ErrorBody":
            status = int(place.rsplit(" ", 1)[-1])
            assert given == [examples.ERRORS[status]], f"{place}: not the example of its status"
        for example in given:
            shown.update(parts(checked(BODIES[name], example)))
    assert shown == {name for name, schema in schemas.items() if schema["type"] == "object"}


def test_every_example_of_a_schema_is_one(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    found = {name: schema["examples"] for name, schema in schemas.items() if "examples" in schema}
    assert set(found) == set(BODIES)
    for name, given in found.items():
        for example in given:
            checked(BODIES[name], example)
    assert {example["state"] for example in found["ArrivalOut"]} == set(State)
    assert {example["ready"] for example in found["Ready"]} == {True, False}


@pytest.mark.parametrize("example", [examples.GRADED, examples.NEEDS_PERSON, examples.REFUSED])
def test_an_examples_figures_agree(example: examples.Example) -> None:
    arrival = ArrivalOut.model_validate(example)
    grading = arrival.grading
    assert grading is not None
    assert grading.latency_ms == grading.timings_ms["total"]
    times = [f.captured_at for f in grading.frames if f.captured_at is not None]
    assert grading.skew_ms == (max(times) - min(times)).total_seconds() * 1000
    for frame in grading.frames:
        if frame.captured_at is not None:
            assert frame.error_ms == (frame.captured_at - arrival.instant).total_seconds() * 1000
    for code, text in (
        (grading.reason, grading.reason_text),
        *((f.problem, f.problem_text) for f in grading.frames),
    ):
        assert text == (None if code is None else TEXTS[Reason(code)])
    assert (grading.outcome == "refused") == (arrival.state is State.REFUSED)
    assert grading.needs_person == (arrival.state is State.NEEDS_PERSON)
    if grading.probabilities is None:
        assert grading.reason is not None
    else:
        assert sum(grading.probabilities.values()) == 1.0
        assert grading.confidence == max(grading.probabilities.values())
        assert grading.confidence == grading.probabilities[str(grading.grade)]
        assert grading.trash is not None
        assert grading.trash.low <= grading.trash.middle <= grading.trash.high


def test_a_station_answers_as_the_examples_do(app: FastAPI, station: ConsoleStation) -> None:
    with Serving(app) as server, httpx.Client(base_url=server.url + "/api/v1") as client:

        def post(**change: object) -> httpx.Response:
            return client.post("/arrivals", json=examples.ANNOUNCEMENT | change)

        opened = post().json()
        own = ("id", "instant", "accepted_at")
        assert opened == examples.OPEN | {key: opened[key] for key in own}
        unknown = client.get(f"/arrivals/{examples.OPEN['id']}")
        answers = [unknown, post(plate="83-9999"), post(weight_kg=-1)]
        station.fault = RecordError("records: disk is full")
        answers.append(post(ticket="T-2"))
    assert [answer.status_code for answer in answers] == [404, 409, 422, 503]
    for answer in answers:
        assert answer.json() == examples.ERRORS[answer.status_code]

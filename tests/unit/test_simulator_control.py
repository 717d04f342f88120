"""Breaking a virtual station over real HTTP, by program and by command."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Response
from serving import Serving
from typer.testing import CliRunner
from virtual import SPECS, virtual_station

from simulator.cli import app
from simulator.control import ControlServer
from simulator.feed import Fault
from simulator.station import VirtualStation

Setup = tuple[VirtualStation, ControlServer]


@pytest.fixture
def setup() -> Iterator[Setup]:
    with virtual_station() as station, ControlServer(station) as control:
        yield station, control


def test_state_tells_cameras_and_scale(setup: Setup) -> None:
    _, control = setup
    state = httpx.get(control.url).json()
    assert set(state["cameras"]) == {spec.camera for spec in SPECS}
    assert state["cameras"]["C201"]["codec"] == "hevc"
    assert state["cameras"]["C301"]["fault"] == "none"
    assert state["scale"] == {"weight_kg": 0, "in_motion": False}


def test_command_breaks_and_mends(setup: Setup) -> None:
    station, control = setup
    for fault in (Fault.FREEZE, Fault.NONE):
        result = CliRunner().invoke(app, ["break", "C301", fault.value, "--at", control.url])
        assert result.exit_code == 0, result.output
        assert station.feeds["C301"].fault is fault


def test_a_fault_is_of_the_scene_and_not_of_the_fault_before(setup: Setup) -> None:
    station, control = setup
    scene = station.feeds["C301"].scene
    for fault in (Fault.RESIZE, Fault.RESIZE, Fault.BLACK):
        httpx.put(f"{control.url}/cameras/C301/fault", json={"fault": fault}).raise_for_status()
        shown = station.feeds["C301"].clip
        part = 2 if fault is Fault.RESIZE else 1
        assert (part * shown.width, part * shown.height) == (scene.width, scene.height)
    assert station.feeds["C301"].scene is scene


def test_truck_drives_on_and_off(setup: Setup) -> None:
    station, control = setup
    assert httpx.put(f"{control.url}/scale", json={"weight_kg": 31000}).status_code == 200
    assert station.scale.load is not None
    assert station.scale.load.weight_kg == 31000
    httpx.put(f"{control.url}/scale", json={"weight_kg": 0})
    assert station.scale.load.leaves < float("inf")


@pytest.mark.parametrize(
    ("camera", "fault", "says"), [("C501", "freeze", "C501"), ("C301", "explode", "explode")]
)
def test_wrong_names_are_told(setup: Setup, camera: str, fault: str, says: str) -> None:
    _, control = setup
    result = CliRunner().invoke(app, ["break", camera, fault, "--at", control.url])
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize("body", ['{"error": "not found"}', "Internal Server Error", "[]"])
def test_another_server_there(body: str) -> None:
    console = FastAPI()

    @console.put("/{path:path}")
    def answer() -> Response:
        return Response(body, 500)

    with Serving(console) as served:
        result = CliRunner().invoke(app, ["break", "C301", "freeze", "--at", served.url])
    assert result.exit_code == 2
    assert "answered 500; is it the control's address?" in result.output


def test_no_station_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = CliRunner().invoke(
        app, ["break", "C301", "freeze", "--at", f"http://127.0.0.1:{port}"]
    )
    assert result.exit_code == 2
    assert "is the station running there?" in result.output

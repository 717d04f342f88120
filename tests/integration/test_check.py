"""`edge-agent check` at a virtual station: each fault is told, and trying does no harm."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from model_repo import Repo
from model_site import Site
from virtual import SPECS, cameras_section, virtual_station

from edge_agent import check as checks
from edge_agent.config import CAMERA_IDS, StationConfig
from simulator.feed import Fault
from simulator.station import PASSWORD, VirtualStation


@pytest.fixture(scope="module")
def station() -> Iterator[VirtualStation]:
    with virtual_station() as running:
        yield running


def config_of(station: VirtualStation, folder: Path, **changes: Any) -> StationConfig:
    password = folder / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    data: dict[str, Any] = {
        "station": {"id": "KK1", "name": "Weighbridge 1"},
        "data_dir": folder / "data",
        "http": {"port": port},
        "cameras": cameras_section(station, str(password)).model_dump(),
        "weighbridge": {"indicator": {"host": "127.0.0.1", "port": station.scale.port}},
        "model": {"bundle": Path(__file__).parents[2] / "deploy/models/sim-mobilenetv2.bundle"},
    }
    return StationConfig.model_validate(data | changes)


@pytest.fixture
def config(station: VirtualStation, tmp_path: Path) -> StationConfig:
    return config_of(station, tmp_path)


def test_a_good_station_has_no_faults_and_no_traces(config: StationConfig) -> None:
    found = checks.check(config)
    assert (found.faults, found.warnings) == ([], [])
    assert not config.data_dir.exists()


def test_a_wrong_password_is_tried_once(station: VirtualStation, config: StationConfig) -> None:
    assert config.cameras.credentials is not None
    assert config.cameras.credentials.password_file is not None
    config.cameras.credentials.password_file.write_text("wrong-word", encoding="utf-8")
    before = station.rtsp.refusals
    found = checks.check(config)
    assert station.rtsp.refusals == before + 1
    assert [line[:4] for line in found.faults] == list(CAMERA_IDS)
    assert sum("not tried" in line for line in found.faults) == 3
    assert "wrong-word" not in str(found)


@pytest.mark.parametrize("camera", ["C301", "C401"])
def test_what_a_picture_shows_is_a_warning(
    station: VirtualStation, config: StationConfig, camera: str
) -> None:
    """A yard without lamps is black at night: nothing is broken, but a truck would be refused."""
    station.break_camera(camera, Fault.BLACK)
    try:
        found = checks.check(config)
    finally:
        station.break_camera(camera, Fault.NONE)
    assert found.faults == []
    (warning,) = found.warnings
    assert warning.startswith(f"{camera}: picture is black now: mean grey level")


def test_a_camera_without_pictures_is_told_in_words(
    station: VirtualStation, config: StationConfig
) -> None:
    station.break_camera("C201", Fault.STALL)
    try:
        found = checks.check(config)
    finally:
        station.break_camera("C201", Fault.NONE)
    (fault,) = found.faults
    assert fault.startswith("C201: camera cannot be reached: rtsp://")
    assert "it sent no picture in time; check" in fault


def test_a_wrong_checksum_setting_is_told(config: StationConfig, tmp_path: Path) -> None:
    frame = bytes([0x02, 0x2A, 0x30, 0x20]) + b"031240000000\r"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def feed() -> None:
            client = server.accept()[0]
            with client, contextlib.suppress(OSError):
                while not done.wait(0.1):
                    client.sendall(frame)

        done = threading.Event()
        thread = threading.Thread(target=feed)
        thread.start()
        indicator = {"host": "127.0.0.1", "port": server.getsockname()[1]}
        section = config.weighbridge.model_validate({"indicator": indicator})
        done_config = config.model_copy(update={"weighbridge": section})
        try:
            (fault,) = checks.check(done_config).faults
        finally:
            done.set()
            thread.join(5.0)
    assert "unreadable frames; try checksum: false" in fault


class Answer(BaseHTTPRequestHandler):
    station = "KK1"

    def do_GET(self) -> None:
        body = json.dumps({"station": self.station}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("station_id", ["KK1", "KK2"])
def test_an_address_in_use(config: StationConfig, station_id: str) -> None:
    handler = type("Named", (Answer,), {"station": station_id})
    with HTTPServer(("127.0.0.1", config.http.port), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            found = checks.check(config)
        finally:
            server.shutdown()
            thread.join(5.0)
    if station_id == "KK1":
        assert found.faults == []
        assert found.warnings == ["scale indicator: not tried, the running station has it"]
    else:
        (fault,) = found.faults
        assert f":{config.http.port}: Address already in use" in fault


@pytest.mark.parametrize("camera", ["C301", "C401"])
def test_a_wrong_clock_is_a_fault_of_the_graded_camera_only(tmp_path: Path, camera: str) -> None:
    specs = tuple(
        replace(spec, clock_offset_ms=-1500.0) if spec.camera == camera else spec for spec in SPECS
    )
    with virtual_station(specs) as station:
        found = checks.check(config_of(station, tmp_path))
    told, other = found.faults, found.warnings
    if camera != "C301":
        told, other = other, told
    assert other == []
    (line,) = told
    assert line.startswith(f"{camera}: camera's clock is wrong: clock is off by about 1.")


def test_a_pushed_model_is_tried(config: StationConfig, tmp_path: Path, repo: Repo) -> None:
    site = Site(tmp_path, repo)
    here = config.model_copy(update={"model": site.config, "data_dir": tmp_path})
    (warning,) = tried(here).warnings
    assert "none grades here yet" in warning
    one, two = repo.add("1", 0.9), repo.add("2", 0.8)
    site.push("1")
    site.close()
    assert tried(here) == checks.Findings()
    file = site.keeper.depot.path(one)
    other = next(repo.store.targets_folder.glob(f"{two}.*"))
    for content in (other.read_bytes(), file.read_bytes()[:-50], None):
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        (fault,) = tried(here).faults
        assert str(file) in fault


def tried(config: StationConfig) -> checks.Findings:
    found = checks.Findings()
    checks._check_model(config, found)
    return found

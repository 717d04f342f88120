"""The console's problems are the station's own, each in words it has."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from console_states import MIB, healthy_status, troubled_status
from console_station import PASSWORD, config

from edge_agent.config import CAMERA_IDS, StationConfig
from edge_agent.console.formats import Formats
from edge_agent.console.problems import Problem, problems
from edge_agent.console.texts import LANGUAGES, Texts
from edge_agent.station import Station
from edge_agent.status import StationStatus


def told(status: StationStatus, language: str = "en") -> tuple[Problem, ...]:
    return problems(status, Texts(language), Formats(language, "Asia/Bangkok"))


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port of this machine that refuses connections as long as the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@pytest.mark.parametrize("language", LANGUAGES)
def test_problems_are_sentences_with_what_to_do(language: str) -> None:
    assert told(healthy_status(), language) == ()
    found = told(troubled_status(), language)
    assert len(found) == len(troubled_status().problems)
    assert all(problem.text and problem.advice for problem in found)


def test_what_stops_the_grading_comes_first() -> None:
    texts = [problem.text for problem in told(troubled_status())]
    assert texts[0].startswith("No model is loaded")
    assert texts[1].startswith("The data disk is nearly full: 0.8")
    assert texts[2] == "C301: Camera sends the same picture again and again"


def test_nothing_is_added_to_the_stations_list_and_nothing_dropped() -> None:
    # Little space alone is no problem before the station says so.
    assert told(replace(healthy_status(), disk_free_bytes=2 * MIB)) == ()
    line = "records /data/records.sqlite: disk I/O error; check the data disk"
    (found,) = told(replace(healthy_status(), problems=(line,)))
    assert (found.text[:7], found.detail) == ("Records", line)
    (found,) = told(replace(healthy_status(), problems=("something new: broke",)))
    assert found.detail == "something new: broke"


def test_a_real_stations_problems_all_have_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead_port: int
) -> None:
    """A station without cameras, scale, model and space."""
    monkeypatch.setenv("CONSOLE_TEST_PASSWORD", PASSWORD)
    values = config(tmp_path).model_dump()
    for camera in CAMERA_IDS:
        values["cameras"][camera]["url"] = f"rtsp://127.0.0.1:{dead_port}/{camera}"
    values["weighbridge"]["indicator"] = {"host": "127.0.0.1", "port": dead_port}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=700 * MIB))
    station = Station(StationConfig.model_validate(values))
    station.start()
    try:
        deadline = time.monotonic() + 20
        while len(station.status().problems) < 7 and time.monotonic() < deadline:
            time.sleep(0.05)
        found = told(station.status())
    finally:
        station.stop()
    assert sorted(problem.text.split(":")[0] for problem in found) == [
        "C101",
        "C201",
        "C301",
        "C401",
        "No model is loaded",
        "The data disk is nearly full",
        "The scale indicator does not answer.",
    ]

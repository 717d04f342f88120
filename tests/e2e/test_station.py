"""A real agent process at a virtual station: trucks come, and every one ends in a record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from agent_process import BUNDLE, Agent, small_cameras
from playwright.sync_api import Page, expect
from virtual import wait_until

from edge_agent.grades import Grade
from edge_agent.records.store import Store
from simulator.feed import Fault
from simulator.station import VirtualStation


@pytest.fixture
def station() -> Iterator[VirtualStation]:
    with small_cameras() as running:
        yield running


@pytest.fixture
def agent(tmp_path: Path, station: VirtualStation) -> Iterator[Agent]:
    running = Agent(tmp_path, station)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        running.client.close()


def test_a_truck_is_graded_with_evidence(agent: Agent, station: VirtualStation) -> None:
    record = agent.announce("T-1")
    grading = record["grading"]
    assert grading["outcome"] == "graded", grading["detail"]
    assert grading["grade"] == Grade.FRESH_CLEAN
    assert sum(grading["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert [f["camera"] for f in grading["frames"]] == ["C101", "C201", "C301", "C401"]
    assert {f["clock"] for f in grading["frames"]} == {"rtcp"}
    assert grading["skew_ms"] < 100
    for frame in grading["frames"]:
        image = agent.client.get(frame["evidence"])
        assert image.content[:2] == b"\xff\xd8"
    again = agent.client.post("/api/v1/arrivals", json={"ticket": "T-1", "plate": "82-1234"})
    assert again.status_code == 200
    assert again.json()["id"] == record["id"]
    assert "virtual-cane-7" not in (agent.folder / "agent.log").read_text(encoding="utf-8")


def test_ready_means_that_a_truck_is_graded_now(tmp_path: Path, station: VirtualStation) -> None:
    station.rtsp.first_report_delay_s = 2.0
    agent = Agent(tmp_path, station)
    try:
        agent.start()
        grading = agent.announce("AT-ONCE")["grading"]
        assert grading["outcome"] == "graded", grading["detail"]
        assert {frame["clock"] for frame in grading["frames"]} == {"rtcp"}
    finally:
        agent.stop()
        agent.client.close()


def test_missing_graded_camera_refuses_with_the_reason(
    agent: Agent, station: VirtualStation
) -> None:
    station.break_camera("C301", Fault.STALL)
    wait_until(lambda: not agent.answers("/health/ready"))
    grading = agent.announce("T-2")["grading"]
    assert (grading["outcome"], grading["reason"]) == ("refused", "stalled")
    assert {f["camera"] for f in grading["frames"] if f["evidence"]} == {"C101", "C201", "C401"}


def test_black_picture_is_refused(agent: Agent, station: VirtualStation) -> None:
    station.break_camera("C301", Fault.BLACK)
    wait_until(lambda: agent.announce(f"T-{os.urandom(4).hex()}")["grading"]["reason"] == "black")


def test_missing_evidence_camera_does_not_stop_the_grading(
    agent: Agent, station: VirtualStation
) -> None:
    station.break_camera("C401", Fault.DISCONNECT)
    wait_until(lambda: "C401" in agent.client.get("/api/v1/station").text)
    wait_until(lambda: any("C401" in p for p in agent.status()["problems"]))
    grading = agent.announce("T-4")["grading"]
    assert grading["outcome"] == "graded"
    assert [f["camera"] for f in grading["frames"] if f["problem"]] == ["C401"]


def test_scale_announces_once_and_takes_the_ticket_that_comes_later(
    agent: Agent, station: VirtualStation
) -> None:
    station.put_on_scale(31_000, rest_after_s=1.0)

    def arrivals() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = agent.client.get("/api/v1/arrivals").json()["items"]
        return found

    wait_until(lambda: len(arrivals()) == 1 and arrivals()[0]["state"] != "open")
    assert arrivals()[0]["source"] == "scale"
    assert arrivals()[0]["weight_kg"] == pytest.approx(31_000, abs=1500)
    named = agent.announce("LATE-1")
    assert named["ticket"] == "LATE-1"
    assert [a["id"] for a in arrivals()] == [named["id"]]
    station.take_off_scale()
    scale = lambda: agent.status()["scale"]  # noqa: E731
    wait_until(lambda: scale()["phase"] == "empty")
    assert agent.announce("NEXT-1")["id"] != named["id"]


def test_a_weighed_trucks_grade_appears_in_the_browser(
    agent: Agent, station: VirtualStation, open_page: Callable[[str], Page]
) -> None:
    patience_ms = 20_000.0
    page = open_page(str(agent.client.base_url))
    page.goto("/")
    sign = page.locator(".hero")
    expect(sign).to_contain_text("Scale empty", timeout=patience_ms)
    page.evaluate("window.notReloaded = true")
    station.put_on_scale(31_000, rest_after_s=1.0)
    expect(sign).to_contain_text("Truck on the scale", timeout=patience_ms)
    grading = agent.announce("BROWSER-1")["grading"]
    assert grading["outcome"] == "graded", grading["detail"]
    expect(page.locator(".fact-ticket dd")).to_have_text("BROWSER-1", timeout=patience_ms)
    expect(page.locator(".hero.grade-fresh_clean .hero-word")).to_have_text(
        "Fresh cane clean", timeout=patience_ms, use_inner_text=True
    )
    expect(sign).to_contain_text(f"{100 * grading['confidence']:.1f}")
    expect(page.locator(".weight-value")).to_have_text("31,000")
    for camera in station.feeds:
        shown = page.locator(f"#frame-{camera} img")
        assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert page.evaluate("window.notReloaded") is True


def test_truck_told_of_too_late_is_not_graded_on_its_successor(
    agent: Agent, station: VirtualStation
) -> None:
    station.put_on_scale(31_000, rest_after_s=0.5)
    wait_until(lambda: agent.status()["scale"]["phase"] == "on_scale")
    present = agent.announce("PRESENT")
    long_ago = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    body = {"ticket": "REPLAYED", "weighed_at": long_ago}
    late = agent.client.post("/api/v1/arrivals", json=body).json()
    assert late["id"] != present["id"]
    grading = agent.client.get(f"/api/v1/arrivals/{late['id']}?wait=20").json()["grading"]
    assert (grading["outcome"], grading["reason"]) == ("refused", "stale")
    naive = agent.client.post(
        "/api/v1/arrivals", json={"ticket": "N", "weighed_at": "2026-01-01T00:00:00"}
    )
    assert naive.status_code == 422


def test_after_a_kill_every_accepted_truck_has_an_outcome(
    agent: Agent, station: VirtualStation
) -> None:
    accepted = [
        agent.client.post("/api/v1/arrivals", json={"ticket": f"K-{n}"}).json()["id"]
        for n in range(6)
    ]
    agent.stop(signal.SIGKILL)
    with Store(agent.folder / "records.sqlite") as store:
        assert len(store.open_arrivals()) > 0
    agent.start()
    for arrival_id in accepted:
        record = agent.client.get(f"/api/v1/arrivals/{arrival_id}").json()
        assert record["state"] != "open"
        assert record["grading"]["reason"] in (None, "interrupted")


def test_truck_in_hand_is_finished_at_the_end(agent: Agent) -> None:
    arrival_id = agent.client.post("/api/v1/arrivals", json={"ticket": "LAST"}).json()["id"]
    agent.stop(signal.SIGTERM)
    assert agent.process is not None
    assert agent.process.returncode == 0
    with Store(agent.folder / "records.sqlite") as store:
        last = store.get(arrival_id)
        assert last is not None
        assert last.grading is not None
        assert last.grading.outcome == "graded", last.grading.detail


def test_second_agent_leaves_the_first_alone(agent: Agent, station: VirtualStation) -> None:
    command = [sys.executable, "-m", "edge_agent", "run", "--config", str(agent.config)]
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 2
    assert f":{agent.port}" in second.stderr
    data = yaml.safe_load(agent.config.read_text(encoding="utf-8"))
    data["http"]["port"] = agent.port + 1
    other = agent.folder / "other.yaml"
    other.write_text(yaml.safe_dump(data), encoding="utf-8")
    third = subprocess.run(
        [*command[:-1], str(other)], capture_output=True, text=True, check=False, timeout=60
    )
    assert third.returncode == 2
    assert "another edge-agent is at work" in third.stderr
    assert agent.announce("STILL")["grading"]["outcome"] == "graded"


def test_a_broken_bundle_keeps_the_station_up_and_says_so(
    tmp_path: Path, station: VirtualStation
) -> None:
    broken = tmp_path / "broken.bundle"
    broken.write_bytes(BUNDLE.read_bytes()[:-2000])
    agent = Agent(tmp_path, station, model={"bundle": str(broken)})
    try:
        agent.start(ready=False)
        wait_until(lambda: all(c["state"] == "streaming" for c in agent.status()["cameras"]))
        assert agent.client.get("/health/ready").status_code == 503
        grading = agent.announce("T-5")["grading"]
        assert (grading["outcome"], grading["reason"]) == ("refused", "no_model")
    finally:
        agent.stop()
        agent.client.close()


def test_check_says_what_is_wrong_in_one_line_each(tmp_path: Path, station: VirtualStation) -> None:
    agent = Agent(tmp_path, station)
    agent.client.close()
    command = [sys.executable, "-m", "edge_agent", "check", "--config", str(agent.config)]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    data = yaml.safe_load(agent.config.read_text(encoding="utf-8"))
    (tmp_path / "nvr-password").write_text("wrong-pass", encoding="utf-8")
    data["cameras"]["C401"]["url"] = "rtsp://127.0.0.1:1/x"
    data["model"]["bundle"] = "nowhere.bundle"
    agent.config.write_text(yaml.safe_dump(data), encoding="utf-8")
    bad = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = bad.stderr.strip().splitlines()
    assert bad.returncode == 2
    assert len(lines) == 5, lines
    assert "nowhere.bundle" in lines[0]
    assert all(f"C{n}01" in lines[n] for n in (1, 2, 3, 4))
    assert "wrong-pass" not in bad.stderr + bad.stdout

"""Pushing models to a real station process, and going back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_process import Agent, scenes
from model_repo import ACCESS, ENGINEER, Repo
from virtual import SPECS, wait_until

from exporter.push import push
from simulator.station import VirtualStation


@pytest.fixture(scope="module")
def station() -> Iterator[VirtualStation]:
    with VirtualStation(SPECS, {c: s.on_scale for c, s in scenes().items()}) as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def agent(tmp_path: Path, station: VirtualStation, repo: Repo) -> Iterator[Agent]:
    updates = {"root": str(repo.trusted_root), "latency_ms": 2000}
    running = Agent(tmp_path / "agent", station, model={"updates": updates}, access=ACCESS)
    try:
        running.start(ready=False)
        wait_until(running.sees)
        yield running
    finally:
        running.stop()
        running.client.close()


def test_a_pushed_model_grades_the_next_truck(agent: Agent, repo: Repo) -> None:
    refusal = agent.announce("BEFORE")["grading"]
    assert (refusal["outcome"], refusal["reason"]) == ("refused", "no_model")
    first = repo.add("1", 0.91)
    pushed = push(repo.delivery("1"), str(agent.client.base_url), ENGINEER, "activate")
    assert (pushed.accepted, pushed.role, pushed.digest) == (True, "active", first)
    wait_until(lambda: agent.answers("/health/ready"))
    grading = agent.announce("FIRST")["grading"]
    assert grading["confidence"] == pytest.approx(0.91, abs=1e-4)
    assert grading["model"]["digest"] == first

"""Swaps under continuous arrivals, and SIGKILL at each step of one."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_process import Agent
from killed_agent import STEPS
from model_repo import ENGINEER, Repo
from virtual import wait_until

from exporter.errors import ExportError
from exporter.push import deliver, push

SWAPS = 200
TRUCKS = 20
LOGIN = (ENGINEER.user, ENGINEER.password)


def has_died(agent: Agent) -> bool:
    """Whether that agent has ended by SIGKILL."""
    assert agent.process is not None
    return agent.process.wait(20.0) == -signal.SIGKILL


def run_killed(agent: Agent, step: str) -> None:
    """Starts the agent anew, as one that will die at that step."""
    agent.stop()
    script = Path(__file__).parents[1] / "killed_agent.py"
    with (agent.folder / "agent.log").open("ab") as log:
        agent.process = subprocess.Popen(
            [sys.executable, str(script), step, str(agent.config)], stdout=log, stderr=log
        )
    wait_until(lambda: agent.answers("/health/ready"), 90.0)


@pytest.mark.slow
def test_killed_at_any_step_one_whole_model_grades(agent: Agent, repo: Repo) -> None:
    old = repo.add("old", 0.9)
    push(repo.delivery("old"), str(agent.client.base_url), ENGINEER, "activate")
    committed = list(STEPS).index("after-commit")
    confidence = {old: 0.9}
    for number, step in enumerate(STEPS):
        new = repo.add(step, 0.8 - number / 100)
        confidence[new] = 0.8 - number / 100
        run_killed(agent, step)
        with pytest.raises(ExportError):
            push(repo.delivery(step), str(agent.client.base_url), ENGINEER, "activate")
        assert has_died(agent), step
        agent.start()
        expected = new if number >= committed else old
        grading = agent.announce(f"AFTER-{step}")["grading"]
        assert grading["model"]["digest"] == expected, step
        assert grading["confidence"] == pytest.approx(confidence[expected], abs=1e-4)
        models = agent.client.get("/api/v1/models").json()
        assert models["active"] == expected
        assert not list((agent.folder / "models" / "incoming").iterdir())
        # The same push works now, and leads back to where the next step begins.
        pushed = push(repo.delivery(step), str(agent.client.base_url), ENGINEER, "activate")
        assert (pushed.accepted, pushed.role) == (True, "active")
        agent.client.post(f"/api/v1/models/{old}/activate", auth=LOGIN).raise_for_status()
        # It grades a truck, so that the next start keeps none in reserve: that would be a swap.
        assert agent.announce(f"BACK-{step}")["grading"]["model"]["digest"] == old


@pytest.mark.slow
@pytest.mark.parametrize(("step", "back"), [("before-commit", False), ("after-commit", True)])
def test_killed_while_going_back_one_whole_model_grades(
    agent: Agent, repo: Repo, step: str, back: bool
) -> None:
    confidence = {
        repo.add(version, level): level for version, level in (("old", 0.9), ("new", 0.8))
    }
    old, new = confidence
    for version in ("old", "new"):
        push(repo.delivery(version), str(agent.client.base_url), ENGINEER, "activate")
    run_killed(agent, step)
    with pytest.raises(httpx.HTTPError):
        agent.client.post("/api/v1/models/roll-back", json={}, auth=LOGIN)
    assert has_died(agent)
    agent.start()
    expected = old if back else new
    grading = agent.announce("AFTER")["grading"]
    assert grading["model"]["digest"] == expected
    assert grading["confidence"] == pytest.approx(confidence[expected], abs=1e-4)
    assert agent.client.get("/api/v1/models").json()["active"] == expected


@pytest.mark.slow
@pytest.mark.parametrize("step", ["verified", "listed", "before-commit", "after-commit"])
def test_killed_while_a_model_is_revoked_it_grades_no_more(
    agent: Agent, repo: Repo, step: str, tmp_path: Path
) -> None:
    old = repo.add("old", 0.9)
    repo.add("bad", 0.8)
    for version in ("old", "bad"):
        push(repo.delivery(version), str(agent.client.base_url), ENGINEER, "activate")
    repo.store.revoke("table-bad.bundle")
    repo.sign_and_publish()
    deliver(repo.store, None, tmp_path / "list.zip")
    run_killed(agent, step)
    with pytest.raises(ExportError):
        push(tmp_path / "list.zip", str(agent.client.base_url), ENGINEER, None)
    assert has_died(agent)
    # The list was verified and kept before the process died: what follows from it follows now.
    agent.start()
    grading = agent.announce("AFTER")["grading"]
    assert grading["model"]["digest"] == old
    assert grading["confidence"] == pytest.approx(0.9, abs=1e-4)


@pytest.mark.slow
def test_many_swaps_lose_no_truck_and_mix_no_models(agent: Agent, repo: Repo) -> None:
    url = str(agent.client.base_url)
    confidence = {repo.add("a", 0.91): 0.91, repo.add("b", 0.73): 0.73}
    for version in "ab":
        push(repo.delivery(version), url, ENGINEER, "activate")
    accepted: list[str] = []
    failures: list[str] = []
    done = threading.Event()

    def trucks_come() -> None:
        with httpx.Client(base_url=url, timeout=60.0) as client:
            while not done.is_set():
                answer = client.post("/api/v1/arrivals", json={"ticket": f"S-{len(accepted)}"})
                if answer.status_code == 201:
                    accepted.append(answer.json()["id"])
                else:
                    failures.append(answer.text)
                client.get(f"/api/v1/arrivals/{accepted[-1]}", params={"wait": 20})

    thread = threading.Thread(target=trucks_come)
    thread.start()
    digests = list(confidence)
    try:
        # On a quick machine the swaps would be over before many trucks have come.
        for number in itertools.takewhile(
            lambda n: n < SWAPS or len(accepted) < TRUCKS, itertools.count()
        ):
            answer = agent.client.post(f"/api/v1/models/{digests[number % 2]}/activate", auth=LOGIN)
            assert answer.status_code == 200, answer.text
            assert answer.json()["active"] == digests[number % 2]
    finally:
        done.set()
        thread.join(60.0)
    assert failures == []
    graded_by: dict[str, int] = dict.fromkeys(digests, 0)
    for arrival in accepted:
        grading: dict[str, Any] = agent.client.get(f"/api/v1/arrivals/{arrival}").json()["grading"]
        assert grading["outcome"] == "graded", grading["detail"]
        digest = grading["model"]["digest"]
        assert grading["confidence"] == pytest.approx(confidence[digest], abs=1e-4)
        graded_by[digest] += 1
    assert min(graded_by.values()) > 0
    assert len(accepted) >= TRUCKS
    events = agent.client.get("/api/v1/models").json()["events"]
    assert all(event["ok"] for event in events)
    assert {event["actor"] for event in events} == {ENGINEER.user}


def test_the_first_truck_after_a_push_waits_for_nothing(agent: Agent, repo: Repo) -> None:
    """While a model is tried, trucks are graded by the one before."""
    old = repo.add("old", 0.9)
    push(repo.delivery("old"), str(agent.client.base_url), ENGINEER, "activate")
    new = repo.add("new", 0.8)
    pushing = threading.Thread(
        target=push, args=(repo.delivery("new"), str(agent.client.base_url), ENGINEER, "activate")
    )
    pushing.start()
    meanwhile = [agent.announce(f"M-{n}")["grading"]["model"]["digest"] for n in range(2)]
    pushing.join(60.0)
    assert meanwhile[0] == old
    assert set(meanwhile) <= {old, new}
    time.sleep(0.1)
    assert agent.announce("LAST")["grading"]["model"]["digest"] == new

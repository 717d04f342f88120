"""Pushing models to a real station process, and going back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import Agent
from hostile_bundles import HOSTILE
from model_repo import ACCESS, ENGINEER, Repo
from playwright.sync_api import Page, expect
from virtual import wait_until
from web_repo import Elsewhere, Endless, Moody, Silent, Trickling, Web

from exporter.push import push
from simulator.station import VirtualStation


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


def test_an_engineer_promotes_and_goes_back_on_the_page(
    agent: Agent, repo: Repo, open_page: Callable[[str], Page]
) -> None:
    url = str(agent.client.base_url)
    one, two = repo.add("1", 0.91), repo.add("2", 0.83)
    push(repo.delivery("1"), url, ENGINEER, "activate")
    push(repo.delivery("2"), url, ENGINEER, "shadow")
    wait_until(lambda: agent.answers("/health/ready"))
    agent.announce("SEEN-BY-BOTH")
    page = open_page(url)
    page.goto("/models")
    now, unseen = page.locator(".model-now").first, page.locator(".model-now").last
    expect(now).to_contain_text("table 1", timeout=20_000)
    expect(unseen).to_contain_text("table 2")
    expect(unseen).to_contain_text("100.0", timeout=20_000)
    expect(page.locator("#promote")).to_have_count(0)
    page.fill("input[name=name]", ENGINEER.user)
    page.fill("input[name=password]", "not the password")
    page.click("#log-in")
    expect(page.locator(".log-in .trouble")).to_contain_text("is wrong", timeout=20_000)
    page.goto("/models?log-in=busy")
    expect(page.locator(".log-in .trouble")).to_contain_text("Several others", timeout=20_000)
    page.fill("input[name=name]", ENGINEER.user)
    page.fill("input[name=password]", ENGINEER.password)
    page.click("#log-in")
    expect(page.locator(".log-in")).to_contain_text(ENGINEER.user, timeout=20_000)
    page.click("#promote")
    expect(now).to_contain_text("table 2", timeout=20_000)
    assert agent.announce("PROMOTED")["grading"]["model"]["digest"] == two
    page.click("#roll-back")
    expect(now).to_contain_text("table 1", timeout=20_000)
    assert agent.announce("BACK")["grading"]["model"]["digest"] == one
    events = agent.client.get("/api/v1/models").json()["events"]
    assert [(e["actor"], e["action"]) for e in events[:2]] == [
        (ENGINEER.user, "roll_back"),
        (ENGINEER.user, "activate"),
    ]
    now.locator("details.golden summary").click()
    hostile = HOSTILE["not-a-number"][0](repo.folder.parent / "hostile.bundle")
    repo.add_file(hostile, "9")
    assert not push(repo.delivery("9"), url, ENGINEER, "activate").accepted
    expect(page.locator(".events .bad-row")).to_contain_text("nan off", timeout=20_000)
    image = now.locator(".golden-image img").first
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    three = repo.add("3", 0.79)
    page.set_input_files("input[type=file]", repo.delivery("3"))
    expect(unseen).to_contain_text("table 3", timeout=30_000)
    shown = agent.client.get("/api/v1/models").json()
    assert shown["shadow"]["digest"] == three
    assert shown["active"] == one


def test_a_web_page_of_another_site_cannot_log_in_or_push(agent: Agent) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for path in ("/log-in", "/api/v1/models/deliveries", "/api/v1/models/roll-back"):
        answer = agent.client.post(path, headers=foreign, content=b"")
        assert answer.status_code == 403, path


def test_a_station_follows_its_repository_whatever_that_does(
    tmp_path: Path, cameras: VirtualStation, repo: Repo
) -> None:
    class Server(Moody):
        folder = repo.folder

    one = repo.add("1", 0.91)
    web = Web(Server)
    updates = {
        "root": str(repo.trusted_root),
        "latency_ms": 2000,
        "repository": web.url,
        "poll_minutes": 0.01,
        "new_models": "activate",
    }
    agent = Agent(tmp_path / "agent", cameras, model={"updates": updates}, access=ACCESS)
    problem = lambda: agent.client.get("/api/v1/models").json()["trust"]["problem"]  # noqa: E731
    try:
        agent.start()
        assert agent.announce("FIRST")["grading"]["model"]["digest"] == one
        for mood, said in (
            (Endless, "exceeding"),
            (Elsewhere, "answered 302"),
            (Silent, "no answer for"),
            (Trickling, "too slow"),
        ):
            Server.mood = mood
            wait_until(lambda said=said: said in (problem() or ""), 60.0)  # type: ignore[misc]
            assert agent.announce(f"WHILE-{mood.__name__}")["grading"]["model"]["digest"] == one
            assert any("models" in line for line in agent.status()["problems"])
            assert agent.answers("/health/ready")
        time.sleep(1.1)
        two = repo.add("2", 0.83)
        Server.mood = None
        wait_until(lambda: agent.status()["model"]["digest"] == two, 60.0)
        assert problem() is None
        assert agent.announce("AFTER")["grading"]["model"]["digest"] == two
        repo.store.revoke("table-2.bundle")
        repo.sign_and_publish()
        wait_until(lambda: agent.status()["model"]["digest"] == one, 30.0)
    finally:
        web.close()
        agent.stop()
        agent.client.close()

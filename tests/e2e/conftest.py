"""The console of a filled station on a real server, and a real browser to look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_process import Agent, small_cameras, station_process
from console_states import healthy_status
from console_station import PASSWORD, ConsoleStation, config
from console_trucks import fill
from model_repo import Repo
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from serving import Serving

from edge_agent.api import create_app
from edge_agent.console import mount
from edge_agent.reasons import Reason
from simulator.station import VirtualStation

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SMALL = (320, 240)


def require_chromium() -> None:
    """Skips the test where there is none."""
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium (apt-get install chromium)")


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ConsoleStation, dict[str, str], str]]:
    """The station, its trucks by name, and its address; once, for NiceGUI keeps pages so."""
    require_chromium()
    station = ConsoleStation(config(tmp_path_factory.mktemp("station")))
    ids = fill(station, SMALL)
    app = create_app(station)
    mount(app, station)
    with Serving(app) as server:
        yield station, ids, server.url
    station.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def station(served: tuple[ConsoleStation, dict[str, str], str]) -> Iterator[ConsoleStation]:
    station = served[0]
    yield station
    station.state = healthy_status()
    station.fault = station.status_fault = None
    for arrival in station.store.open_arrivals():
        station.refuse(arrival, Reason.INTERRUPTED, missing=(), size=SMALL)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Opens a page of a browser of its own at an address; may be called again.

    Fails the test on console errors and foreign requests.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(base_url: str) -> Page:
        context = browser.new_context(base_url=base_url, viewport={"width": 1366, "height": 768})
        contexts.append(context)
        page = context.new_page()
        bad = ("error", "warning")
        page.on("console", lambda m: faults.append(m.text) if m.type in bad else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        own = (base_url, base_url.replace("http", "ws"), "data:")
        page.on("request", lambda r: None if r.url.startswith(own) else faults.append(r.url))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(
    served: tuple[ConsoleStation, dict[str, str], str],
    open_page: Callable[[str], Page],
    monkeypatch: pytest.MonkeyPatch,
) -> Page:
    """A page of the served console."""
    monkeypatch.setenv("CONSOLE_TEST_PASSWORD", PASSWORD)
    return open_page(served[2])


@pytest.fixture(scope="module")
def cameras() -> Iterator[VirtualStation]:
    with small_cameras() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def agent(tmp_path: Path, cameras: VirtualStation, repo: Repo) -> Iterator[Agent]:
    """A process that takes models from that repository."""
    updates = {"root": str(repo.trusted_root), "latency_ms": 2000}
    with station_process(tmp_path / "agent", cameras, updates) as running:
        yield running

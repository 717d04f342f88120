"""The console of a filled station on a real server, and a real browser to look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from console_states import healthy_status
from console_station import PASSWORD, ConsoleStation, config
from console_trucks import fill
from playwright.sync_api import Browser, Page, sync_playwright
from serving import Serving

from edge_agent.api import create_app
from edge_agent.console import mount
from edge_agent.reasons import Reason

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


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ConsoleStation, dict[str, str], str]]:
    """The station, its trucks by name, and its address; once, for NiceGUI keeps pages so."""
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium (apt-get install chromium)")
    station = ConsoleStation(config(tmp_path_factory.mktemp("station")))
    ids = fill(station, SMALL)
    app = create_app(station)
    mount(app, station)
    with Serving(app) as server:
        yield station, ids, server.url
    station.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
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
def page(
    served: tuple[ConsoleStation, dict[str, str], str],
    browser: Browser,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Page]:
    """A page of its own browser; fails the test on console errors and foreign requests."""
    monkeypatch.setenv("CONSOLE_TEST_PASSWORD", PASSWORD)
    context = browser.new_context(base_url=served[2], viewport={"width": 1366, "height": 768})
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    own = (served[2], served[2].replace("http", "ws"), "data:")
    page.on("request", lambda r: None if r.url.startswith(own) else faults.append(r.url))
    yield page
    context.close()
    assert faults == []

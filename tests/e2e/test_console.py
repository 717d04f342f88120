"""The console in a real browser: what operators see, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_station import (
    PASSWORD,
    ConsoleStation,
    config,
    fill,
    healthy_status,
    troubled_status,
)
from playwright.sync_api import Browser, Page, expect, sync_playwright
from serving import Serving

from edge_agent.api import create_app
from edge_agent.console import mount
from edge_agent.errors import RecordError
from edge_agent.grades import Grade
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

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="needs Debian's chromium (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ConsoleStation, dict[str, str], str]]:
    station = ConsoleStation(config(tmp_path_factory.mktemp("station")), grades_at_once=False)
    ids = fill(station, SMALL)
    app = create_app(station)
    mount(app, station)
    with Serving(app) as server:
        yield station, ids, server.url
    station.store.close()


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


def newest(page: Page, ticket: str) -> None:
    """Waits until the live page shows that ticket as the newest truck."""
    expect(page.locator(".fact-ticket dd")).to_have_text(ticket)


def test_announced_truck_appears_and_is_graded_without_reload(
    station: ConsoleStation, page: Page
) -> None:
    page.goto("/")
    page.evaluate("window.notReloaded = true")
    answer = page.request.post("/api/v1/arrivals", data={"ticket": "E2E-1", "plate": "82-7777"})
    assert answer.status == 201
    newest(page, "E2E-1")
    expect(page.locator(".hero.state-open")).to_contain_text("กำลังจัดเกรด")
    arrival = station.store.get(answer.json()["id"])
    assert arrival is not None
    station.grade(arrival, Grade.BURN_TRASH, 0.964, size=SMALL)
    hero = page.locator(".hero.grade-burn_trash")
    expect(hero.locator(".hero-word")).to_have_text("อ้อยไฟไหม้มีสิ่งเจือปน")
    expect(hero).to_contain_text("96.4")
    expect(page.locator(".frame.graded .mark")).to_be_visible()
    expect(page.locator(".frame img")).to_have_count(4)
    expect(page.locator(".figures")).to_contain_text("31")
    assert page.evaluate("window.notReloaded") is True


def test_person_and_refusal_are_shown_apart(station: ConsoleStation, page: Page) -> None:
    page.goto("/language/en")
    unsure, _ = station.announce(source="ticket", ticket="E2E-unsure")
    station.grade(unsure, Grade.BURN_CLEAN, 0.47, needs_person=True, size=SMALL)
    newest(page, "E2E-unsure")
    hero = page.locator(".hero.state-needs_person")
    expect(hero.locator(".hero-word")).to_have_text("Needs a person")
    expect(hero).to_contain_text("Burnt cane, clean")
    refused, _ = station.announce(source="ticket", ticket="E2E-refused")
    station.refuse(refused, Reason.NO_FRAME, "C301: no frame within 2.0 s", size=SMALL)
    newest(page, "E2E-refused")
    hero = page.locator(".hero.state-refused")
    expect(hero.locator(".hero-word")).to_have_text("Not graded")
    expect(hero).to_contain_text("Camera sent no picture for this instant")
    expect(page.locator("#frame-C301 .missing")).to_be_visible()
    expect(page.locator(".earlier-slot .trucks tbody tr").first).to_contain_text("Needs a person")


def test_reader_keeps_the_place_when_a_truck_comes(station: ConsoleStation, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/")
    page.evaluate("window.scrollTo(0, 900)")
    place = "document.querySelector('.cameras-slot').getBoundingClientRect().top"
    before = page.evaluate(place)
    assert page.evaluate("window.scrollY") > 0
    station.announce(source="ticket", ticket="E2E-place")
    newest(page, "E2E-place")
    # The browser makes up for what has become shorter above, so the scroll offset may differ.
    assert page.evaluate(place) == pytest.approx(before, abs=1.0)


def test_language_is_kept_by_the_browser(station: ConsoleStation, page: Page) -> None:
    page.goto("/trucks?outcome=refused")
    expect(page.locator("html")).to_have_attribute("lang", "th")
    expect(page.locator(".top-nav")).to_contain_text("รายการรถ")
    page.get_by_role("link", name="English").click()
    expect(page).to_have_url(re.compile(r"/trucks\?outcome=refused$"))
    expect(page.locator(".top-nav")).to_contain_text("Station health")
    page.goto("/health")
    expect(page.locator("html")).to_have_attribute("lang", "en-GB")
    expect(page.locator(".readiness")).to_contain_text("Ready")
    page.get_by_role("link", name="ไทย").click()
    expect(page.locator(".readiness")).to_contain_text("พร้อม")


def test_language_link_leads_nowhere_else(page: Page) -> None:
    for referer in ("https://evil.example/trap", "//evil.example", ""):
        answer = page.request.get("/language/en", headers={"referer": referer}, max_redirects=0)
        assert (answer.status, answer.headers["location"]) == (303, "/")
    assert page.request.get("/language/xx").status == 404


def test_button_asks_and_then_grades(station: ConsoleStation, page: Page) -> None:
    page.goto("/language/en")
    before = station.revision
    page.locator("#grade-now").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".dialog")).to_be_hidden()
    assert station.revision == before
    page.locator("#grade-now").click()
    page.locator("#grade-yes").click()
    expect(page.get_by_text("Truck accepted")).to_be_visible()
    newest(page, "no ticket")
    (arrival,) = station.store.open_arrivals()
    assert (arrival.source, arrival.weight_kg) == ("button", 31240.0)


def test_button_says_when_records_refuse(station: ConsoleStation, page: Page) -> None:
    station.fault = RecordError("records: disk is full")
    page.goto("/language/en")
    page.locator("#grade-now").click()
    page.locator("#grade-yes").click()
    expect(page.get_by_text("The truck was not accepted")).to_be_visible()


def test_weight_follows_the_scale(station: ConsoleStation, page: Page) -> None:
    page.goto("/language/en")
    expect(page.locator(".weight-value")).to_have_text("31,240")
    station.state = troubled_status()
    expect(page.locator(".scale")).to_contain_text("does not answer")
    expect(page.locator(".cameras-slot")).to_contain_text("same picture again and again")
    expect(page.locator(".cameras-slot")).to_contain_text("would not be graded")


def test_records_fault_is_shown_and_mended(
    station: ConsoleStation, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RecordError("records: database is locked")

    page.goto("/language/en")
    expect(page.locator(".hero")).to_be_visible()
    with monkeypatch.context() as patch:
        patch.setattr(station.store, "find", refuse)
        station.bump()
        expect(page.get_by_role("alert")).to_contain_text("The records cannot be read")
        expect(page.locator(".hero")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/health"])
def test_status_fault_is_shown_and_mended(station: ConsoleStation, page: Page, path: str) -> None:
    page.goto("/language/en")
    station.status_fault = RecordError("data folder is gone")
    page.goto(path)
    expect(page.get_by_role("alert")).to_contain_text("state cannot be read")
    station.status_fault = None
    expect(page.get_by_role("alert")).to_have_count(0)


def test_frame_enlarges_and_closes(station: ConsoleStation, page: Page) -> None:
    arrival, _ = station.announce(source="ticket", ticket="E2E-frame")
    station.grade(arrival, Grade.FRESH_CLEAN, size=SMALL)
    page.goto("/language/en")
    page.locator("#frame-C301 button").click()
    expect(page.locator(".enlarged img")).to_have_attribute("src", re.compile(r"/evidence/C301$"))
    expect(page.locator(".enlarged .outline")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".enlarged")).to_be_hidden()


def test_filters_narrow_and_live_in_the_address(station: ConsoleStation, page: Page) -> None:
    page.goto("/language/en")
    page.goto("/trucks")
    page.locator("select[name=grade]").select_option("undefined")
    expect(page).to_have_url(re.compile("grade=undefined"))
    expect(page.locator("table.trucks tbody tr")).to_have_count(1)
    expect(page.locator("select[name=grade]")).to_have_value("undefined")
    page.get_by_role("link", name="Clear").click()
    # The old page must be gone before its successor's field is filled.
    expect(page).to_have_url(re.compile(r"/trucks$"))
    expect(page.locator("select[name=grade]")).to_have_value("")
    page.locator("input[name=text]").fill("T-2026-000105")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("table.trucks tbody tr")).to_have_count(1)
    expect(page.locator("table.trucks")).to_contain_text("82-1035")
    page.goto("/trucks?last=2000-01-01")
    expect(page.get_by_text("No truck matches.")).to_be_visible()


def test_pages_of_the_list(station: ConsoleStation, page: Page) -> None:
    page.goto("/language/en")
    page.goto("/trucks?text=T-2026")
    expect(page.locator("table.trucks tbody tr")).to_have_count(25)
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile(r"text=T-2026&page=2$"))
    expect(page.locator(".pager")).to_contain_text("Page 2 of 2")
    expect(page.get_by_role("link", name="Newer")).to_be_visible()


def test_row_leads_to_the_truck_with_its_evidence(
    served: tuple[ConsoleStation, dict[str, str], str], station: ConsoleStation, page: Page
) -> None:
    page.goto("/language/en")
    page.goto("/trucks?text=T-2026-000503")
    page.locator("table.trucks tbody tr").click()
    truck = served[1]["burn_trash"]
    expect(page).to_have_url(re.compile(f"/trucks/{truck}$"))
    expect(page.locator(".verdict .badge")).to_have_text(re.compile("Burnt cane, with trash"))
    expect(page.locator(".bar-row.chosen")).to_contain_text("96.0")
    expect(page.locator("#frame-C301 .outline")).to_be_visible()
    expect(page.locator("body")).to_contain_text("mobilenetv2-cane 2026.1.0")
    expect(page.locator("table.cards tbody tr")).to_have_count(4)
    shown = page.locator("#frame-C301 img").evaluate("image => image.decode().then(() => true)")
    assert shown is True


def test_truck_page_follows_the_grading(station: ConsoleStation, page: Page) -> None:
    arrival, _ = station.announce(source="ticket", ticket="E2E-open")
    page.goto("/language/en")
    page.goto(f"/trucks/{arrival.id}")
    expect(page.locator(".verdict .badge")).to_contain_text("Grading…")
    station.grade(arrival, Grade.FRESH_TRASH, size=SMALL)
    expect(page.locator(".verdict .badge")).to_contain_text("Fresh cane, with trash")


def test_health_names_problems_and_no_password(station: ConsoleStation, page: Page) -> None:
    station.state = troubled_status()
    page.goto("/language/en")
    page.goto("/health")
    expect(page.locator(".readiness")).to_contain_text("Not ready")
    expect(page.locator(".problems li").first).to_contain_text("No model is loaded")
    row = page.locator("tr[data-camera=C201]")
    expect(row).to_contain_text("Camera refuses the user name or password")
    assert PASSWORD not in page.content()
    station.state = healthy_status()
    expect(page.locator(".readiness")).to_contain_text("Ready: a truck arriving now is graded.")
    expect(page.locator(".problems")).to_have_count(0)
    expect(page.locator("tr[data-camera=C301]")).to_contain_text("H.264")


@pytest.mark.parametrize("size", [(1920, 1080), (1366, 768), (390, 844)])
@pytest.mark.parametrize("path", ["/", "/trucks", "/health", "truck"])
def test_nothing_is_wider_than_the_screen(
    served: tuple[ConsoleStation, dict[str, str], str],
    station: ConsoleStation,
    page: Page,
    path: str,
    size: tuple[int, int],
) -> None:
    station.state = troubled_status()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"/trucks/{served[1]['long-names']}" if path == "truck" else path)
    expect(page.locator(".page")).to_be_visible()
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wider <= 0


def test_unknown_addresses_answer_404_with_a_way_back(browser: Browser, served: object) -> None:
    assert isinstance(served, tuple)
    # Chromium logs every 404 as a console error, so this test has a page without that check.
    page = browser.new_context(base_url=served[2]).new_page()
    for path in ("/nope", "/trucks/nope"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 404
        expect(page.locator(".nothing")).to_be_visible()
    page.context.close()

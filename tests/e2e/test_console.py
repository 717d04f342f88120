"""The console in a real browser: what operators see, in both languages."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from console_states import healthy_status, scale_status, troubled_status
from console_station import PASSWORD, ConsoleStation, config
from console_trucks import fill
from playwright.sync_api import Browser, Page, expect, sync_playwright
from serving import Serving

from edge_agent.api import create_app
from edge_agent.console import mount
from edge_agent.console.page import TICK_S
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
    station.refuse(refused, Reason.NO_FRAME, "no picture within 2.0 s", size=SMALL)
    newest(page, "E2E-refused")
    hero = page.locator(".hero.state-refused")
    expect(hero.locator(".hero-word")).to_have_text("Not graded")
    expect(hero).to_contain_text("Camera sent no picture for this instant")
    expect(page.locator("#frame-C301 .missing")).to_be_visible()
    expect(page.locator(".earlier-slot .trucks tbody tr").first).to_contain_text("Needs a person")


def test_reader_keeps_the_place_when_a_truck_comes(station: ConsoleStation, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/")
    expect(page.locator(".cameras-slot .dot-row")).to_have_count(4)
    page.evaluate("document.querySelector('.cameras-slot').scrollIntoView()")
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


@pytest.mark.parametrize("path", ["/", "/trucks", "/trucks/nope"])
def test_pages_name_the_first_problem_and_lead_to_all(
    station: ConsoleStation, browser: Browser, served: tuple[object, object, str], path: str
) -> None:
    # Chromium logs the 404 as a console error, so this test has a page without that check.
    page = browser.new_context(base_url=served[2]).new_page()
    page.goto("/language/en")
    page.goto(path)
    expect(page.locator(".page")).to_be_visible()
    expect(page.locator(".troubles")).to_have_count(0)
    station.state = troubled_status()
    bar = page.locator(".troubles")
    expect(bar).to_contain_text("would not be graded")
    expect(bar).to_contain_text("No model is loaded")
    expect(bar).to_contain_text("and 4 more")
    bar.click()
    expect(page).to_have_url(re.compile("/health$"))
    expect(page.locator(".problems li")).to_have_count(5)
    page.go_back()
    station.state = replace(
        healthy_status(), problems=("data disk: only 716 MiB are free; make room",)
    )
    expect(bar).to_contain_text("The data disk is nearly full")
    expect(bar).not_to_contain_text("would not be graded")
    page.context.close()


def test_the_last_grade_is_not_the_next_trucks(station: ConsoleStation, page: Page) -> None:
    page.goto("/language/en")
    arrival, _ = station.announce(source="ticket", ticket="E2E-first")
    station.grade(arrival, Grade.BURN_TRASH, size=SMALL)
    sign, previous = page.locator(".hero"), page.locator(".previous")
    expect(sign).to_have_class(re.compile("grade-burn_trash"))
    expect(previous).to_have_count(0)
    station.state = scale_status("empty")
    expect(sign).to_contain_text("Scale empty")
    expect(previous).to_contain_text("Burnt cane, with trash")
    expect(previous).to_contain_text("E2E-first")
    expect(previous).to_contain_text("just now")
    expect(page.locator(".frames-previous")).to_be_visible()
    station.state = scale_status("rising")
    expect(sign).to_contain_text("Truck driving on")
    expect(sign).to_contain_text("14,460")
    station.state = scale_status("on_scale")
    expect(sign).to_contain_text("Truck on the scale")
    expect(previous).to_contain_text("E2E-first")
    arrival, _ = station.announce(source="ticket", ticket="E2E-second")
    expect(sign).to_contain_text("Grading…")
    expect(page.locator(".fact-ticket dd")).to_have_text("E2E-second")
    expect(previous).to_contain_text("E2E-first")
    expect(page.locator(".frame img")).to_have_count(0)
    station.grade(arrival, Grade.FRESH_CLEAN, size=SMALL)
    expect(sign).to_have_class(re.compile("grade-fresh_clean"))
    expect(previous).to_have_count(0)
    expect(page.locator(".earlier-slot tbody tr").first).to_contain_text("E2E-first")


def test_scale_is_followed_without_a_page(station: ConsoleStation, page: Page) -> None:
    arrival, _ = station.announce(source="ticket", ticket="E2E-gone")
    station.grade(arrival, Grade.BURN_CLEAN, size=SMALL)
    station.state = scale_status("empty")
    # Several looks at the scale; what is asserted does not depend on how many.
    time.sleep(4 * TICK_S)
    station.state = scale_status("on_scale")
    page.goto("/language/en")
    expect(page.locator(".hero")).to_contain_text("Truck on the scale")
    expect(page.locator(".previous")).to_contain_text("E2E-gone")


@pytest.mark.parametrize(
    ("size", "rows"), [((1920, 1080), 10), ((1500, 900), 10), ((1366, 768), 5)]
)
@pytest.mark.parametrize("language", ["th", "en"])
@pytest.mark.parametrize("trouble", [False, True])
def test_live_page_fits_the_screen(
    station: ConsoleStation,
    page: Page,
    size: tuple[int, int],
    rows: int,
    language: str,
    trouble: bool,
) -> None:
    station.state = troubled_status() if trouble else healthy_status()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"/language/{language}")
    expect(page.locator(".troubles")).to_have_count(1 if trouble else 0)
    expect(page.locator(".earlier-slot tbody tr")).to_have_count(10)
    button = page.locator("#grade-now").bounding_box()
    panel = page.locator(".earlier-slot").bounding_box()
    row = page.locator(".earlier-slot tbody tr").nth(rows - 1)
    last = row.bounding_box()
    assert button is not None
    assert panel is not None
    assert last is not None
    assert button["y"] + button["height"] <= size[1]
    assert last["y"] + last["height"] <= panel["y"] + panel["height"] <= size[1]
    for cell in (".when", ".what", ".ticket"):
        expect(row.locator(cell)).to_be_visible()
    cut = "cells => cells.filter(c => c.scrollWidth > c.clientWidth + 1).length"
    assert page.locator(".earlier-slot td:not(.ticket):not(.plate)").evaluate_all(cut) == 0
    assert page.locator(".hero-text").evaluate_all(cut) == 0


@pytest.mark.parametrize("path", ["refused", "needs-person", "/", "/health", "/trucks"])
def test_english_on_thai_pages_is_marked(
    served: tuple[ConsoleStation, dict[str, str], str],
    station: ConsoleStation,
    page: Page,
    path: str,
) -> None:
    """No run of English words outside of what is marked as English."""
    refused, _ = station.announce(source="button")
    station.refuse(refused, Reason.BLURRED, "sharpness 3.1, at least 12 is needed", size=SMALL)
    station.state = troubled_status()
    page.goto(path if path.startswith("/") else f"/trucks/{served[1][path]}")
    expect(page.locator(".problems" if path == "/health" else ".troubles")).to_be_visible()
    # Signs are ligatures: their English names are never seen.
    foreign = "[lang=en], .material-icons, style, script, noscript"
    unmarked = page.locator(".nicegui-content").evaluate(
        "(page, foreign) => { const copy = page.cloneNode(true);"
        "copy.querySelectorAll(foreign).forEach(e => e.remove()); return copy.textContent }",
        foreign,
    )
    assert re.findall(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}", unmarked) == []
    if path in ("/", "refused"):
        expect(page.locator(".technical [lang=en]").first).to_be_visible()


def test_days_are_typed_day_first_in_the_readers_year(page: Page) -> None:
    page.goto("/trucks")
    field = page.locator("input[name=first]")
    expect(field).to_have_attribute("placeholder", re.compile("^31/01/25"))
    field.fill("15/1/2569")
    field.press("Enter")
    expect(page).to_have_url(re.compile("first=15%2F1%2F2569"))
    expect(field).to_have_value("15/01/2569")
    expect(page.locator("table.trucks tbody tr")).to_have_count(25)
    page.goto("/trucks?first=31/2/2569")
    expect(page.get_by_role("alert")).to_contain_text("31/2/2569")
    expect(field).to_have_value("31/2/2569")
    page.goto("/language/en")
    page.goto("/trucks?first=2026-01-15")
    expect(field).to_have_value("15/01/2026")


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

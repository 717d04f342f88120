"""The console in a real browser: languages, lists, one truck, health, and what all pages share."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from console_states import healthy_status, troubled_status
from console_station import PASSWORD, ConsoleStation
from playwright.sync_api import Browser, Page, expect

from edge_agent.errors import RecordError
from edge_agent.grades import Grade
from edge_agent.reasons import Reason

SMALL = (320, 240)


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


def test_a_truck_that_arrives_leaves_what_is_being_typed(
    station: ConsoleStation, page: Page
) -> None:
    page.goto("/language/en")
    page.goto("/trucks?text=T-2026")
    expect(page.locator("table.trucks tbody tr")).to_have_count(25)
    typed = {"text": "T-2026-0001", "first": "15/01/2026"}
    for name, text in typed.items():
        page.locator(f"input[name={name}]").fill(text)
    trucks = page.locator("#truck-count")
    before = trucks.inner_text()
    station.announce(source="ticket", ticket="T-2026-999999")
    expect(trucks).not_to_have_text(before)
    for name, text in typed.items():
        expect(page.locator(f"input[name={name}]")).to_have_value(text)


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


def test_trash_is_an_estimate_with_its_interval(
    served: tuple[ConsoleStation, dict[str, str], str], station: ConsoleStation, page: Page
) -> None:
    space = "\N{NO-BREAK SPACE}"
    page.goto("/language/en")
    page.goto("/trucks?text=T-2026-000503")
    expect(page.locator("table.trucks thead")).to_contain_text("Trash (estimate)")
    expect(page.locator("table.trucks .trash")).to_have_text(f"≈ 12{space}% (4–22)")
    page.locator("table.trucks tbody tr").click()
    panel = page.locator(".trash-panel")
    expect(panel.locator("h2")).to_have_text("Trash (estimate)")
    expect(panel.locator(".trash-estimate")).to_have_text(f"≈ 12{space}% (4–22)")
    expect(panel).to_contain_text("not measured. Of 100 loads, the true share of about 90 lies")
    expect(page.locator(".bar-row.chosen")).to_be_visible()
    page.goto("/language/th")
    page.goto(f"/trucks/{served[1]['burn_trash']}")
    expect(panel.locator("h2")).to_have_text("สิ่งเจือปน (ค่าประมาณ)")
    expect(panel).to_contain_text("ไม่ใช่ค่าที่วัดจริง")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/trucks?text=T-2026-000503")
    label = page.locator("table.trucks .trash").evaluate(
        "cell => getComputedStyle(cell, '::before').content"
    )
    assert "สิ่งเจือปน (ค่าประมาณ)" in label


def test_nothing_is_said_of_trash_where_nothing_is_known(
    served: tuple[ConsoleStation, dict[str, str], str], station: ConsoleStation, page: Page
) -> None:
    page.goto("/language/en")
    page.goto("/trucks?grade=undefined")
    expect(page.locator("table.trucks tbody tr")).to_have_count(1)
    expect(page.locator("table.trucks thead th")).to_have_count(6)
    for name in ("undefined", "nameless", "refused"):
        page.goto(f"/trucks/{served[1][name]}")
        expect(page.locator(".verdict .badge")).to_be_visible()
        expect(page.locator(".trash-panel")).to_have_count(0)
        expect(page.locator(".page")).not_to_contain_text("estimate")


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

"""The live page in a real browser: the truck on the scale, the previous one, the button."""

from __future__ import annotations

import re
import time

import pytest
from console_states import healthy_status, scale_status, troubled_status
from console_station import ConsoleStation
from playwright.sync_api import Page, expect

from edge_agent.console.page import TICK_S
from edge_agent.errors import RecordError
from edge_agent.grades import Grade
from edge_agent.reasons import Reason

SMALL = (320, 240)


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


def test_frame_enlarges_and_closes(station: ConsoleStation, page: Page) -> None:
    arrival, _ = station.announce(source="ticket", ticket="E2E-frame")
    station.grade(arrival, Grade.FRESH_CLEAN, size=SMALL)
    page.goto("/language/en")
    page.locator("#frame-C301 button").click()
    expect(page.locator(".enlarged img")).to_have_attribute("src", re.compile(r"/evidence/C301$"))
    expect(page.locator(".enlarged .outline")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".enlarged")).to_be_hidden()

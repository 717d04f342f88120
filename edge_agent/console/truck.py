"""One truck: what was seen, what the model said, and how long everything took."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from nicegui import ui

from edge_agent.api.ports import StationPort
from edge_agent.api.schemas import ArrivalOut, FrameOut, GradingOut, State, arrival_out
from edge_agent.console import parts, trash
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import Region, icon, tag
from edge_agent.console.frames import Enlarger, frame_cards, slots
from edge_agent.console.page import Context, Frame, context_of, in_thread
from edge_agent.grades import GRADES

_SHORT_DIGEST = 12


def load(station: StationPort, arrival_id: str) -> ArrivalOut | None:
    """Reads the truck. Blocking. Raises one of STORE_FAULTS."""
    arrival = station.store.get(arrival_id)
    return None if arrival is None else arrival_out(arrival)


async def page(station: StationPort, arrival_id: str, request: Request) -> None:
    """Draws the page, and redraws it when an open truck gets its outcome."""
    context = context_of(station, request)
    with Frame(context, "/trucks", context.t("Truck")) as frame, tag("div", classes="stack"):
        with tag("a", classes="back", href="/trucks"):
            icon("arrow_back")
            tag("span", context.t("All trucks"))
        enlarger = Enlarger(context)
        truck = Region[ArrivalOut | None](lambda a: _truck(context, a, enlarger), "stack")

        async def refresh() -> None:
            arrival = await in_thread(load, station, arrival_id)
            if arrival is None:
                ui.status_code(404)
            truck.show(arrival)

        await frame.first(refresh)
    frame.every_tick(refresh)


def _truck(context: Context, arrival: ArrivalOut | None, enlarger: Enlarger) -> None:
    t = context.t
    if arrival is None:
        with tag("div", classes="panel nothing"):
            icon("search_off")
            tag("span", t("There is no such truck."))
        return
    grading = arrival.grading
    with tag("section", classes=f"panel verdict state-edge-{arrival.state}"):
        parts.badge(context, arrival)
        tag("h1", arrival.ticket or arrival.plate or t("no ticket"))
        if grading is not None:
            _verdict(context, arrival.state, grading)
    with tag("div", classes="truck"):
        with tag("section", classes="truck-frames"), tag("div", classes="frames"):
            frame_cards(context, slots(arrival), enlarger)
        with tag("section", classes="stack truck-side"):
            _probabilities(context, grading)
            trash.panel(context, grading)
            _announced(context, arrival)
            if grading is not None:
                _machine(context, grading)
    if grading is not None:
        _frame_table(context, grading.frames)


def _verdict(context: Context, state: State, grading: GradingOut) -> None:
    t, f = context.t, context.f
    if state is State.REFUSED:
        tag("p", words.reason_text(t, grading.reason), "verdict-text strong")
        tag("p", words.advice(t, grading.reason), "verdict-text")
        parts.technical(context, parts.refusal_detail(grading))
    elif state is State.NEEDS_PERSON:
        note = t(
            "The model is not sure: {grade}, {confidence}.",
            grade=words.grade_name(t, grading.grade),
            confidence=f.percent(grading.confidence),
        )
        tag("p", note, "verdict-text strong")
        tag("p", t("Look at the load and the pictures, and decide."), "verdict-text")
    else:
        sure = t("Confidence {confidence}", confidence=f.percent(grading.confidence))
        tag("p", sure, "verdict-text strong")


def _probabilities(context: Context, grading: GradingOut | None) -> None:
    t, f = context.t, context.f
    if grading is None or not grading.probabilities:
        return
    with tag("section", classes="panel"):
        with tag("h2"):
            tag("span", t("How likely each grade is"))
        with tag("div", classes="bars"):
            for grade in GRADES:
                share = grading.probabilities.get(grade, 0.0)
                chosen = " chosen" if grade is grading.grade else ""
                with tag("div", classes=f"bar-row{chosen}"):
                    parts.grade_icons(grade, "bar-icons")
                    tag("span", words.grade_name(t, grade), "bar-name")
                    parts.bar(share, f"bar-{grade}")
                    tag("span", f.percent(share), "number right")


def _announced(context: Context, arrival: ArrivalOut) -> None:
    t, f = context.t, context.f
    _panel(
        t("Truck"),
        (
            (t("Plate"), parts.plate_text(arrival) or "–"),
            (t("Ticket"), arrival.ticket or t("no ticket")),
            (t("Grower"), arrival.grower or "–"),
            (t("Weight"), f.number(arrival.weight_kg, unit=t("kg"))),
            (t("Time"), f.moment(arrival.instant)),
            (t("Announced by"), t(words.SOURCES.get(arrival.source, arrival.source))),
            (t("Record"), arrival.id),
        ),
    )


def _machine(context: Context, grading: GradingOut) -> None:
    t, f, model = context.t, context.f, grading.model
    rows = [(t("Recorded at"), f.moment(grading.recorded_at))]
    if model.name is not None:
        rows += [
            (t("Model"), f"{model.name} {model.version or ''}".strip()),
            (t("Model's digest"), model.digest or "–"),
        ]
    rows.append((t("Time between the pictures"), f.number(grading.skew_ms, unit=t("ms"))))
    _panel(t("Grading"), rows)
    steps = [step for step in words.TIMINGS if step in grading.timings_ms]
    if steps:
        timings = ((t(words.TIMINGS[s]), _ms(context, grading.timings_ms[s])) for s in steps)
        _panel(t("Timings"), timings, "figures-list")


def _ms(context: Context, value: object) -> str:
    number = float(value) if isinstance(value, int | float) else None
    return context.f.number(number, 1, context.t("ms"))


def _panel(title: str, rows: Iterable[tuple[str, str]], classes: str = "") -> None:
    with tag("section", classes="panel"):
        parts.definitions(title, rows, classes)


def _frame_table(context: Context, frames: list[FrameOut]) -> None:
    t, f = context.t, context.f
    heads = (
        t("Camera"),
        t("Taken at"),
        t("Off by"),
        t("Clock"),
        t("Size"),
        t("Problem"),
        t("SHA-256 of the picture"),
    )
    with tag("section", classes="panel"):
        with tag("h2"):
            tag("span", t("Evidence"))
        with tag("table", classes="cards"):
            with tag("thead"), tag("tr"):
                for head in heads:
                    tag("th", head, scope="col")
            with tag("tbody"):
                for frame in frames:
                    cells = (
                        frame.camera,
                        f.clock_ms(frame.captured_at),
                        f.signed(frame.error_ms, t("ms")),
                        t(words.CLOCKS.get(frame.clock, frame.clock)) if frame.clock else "–",
                        f"{frame.width} × {frame.height}" if frame.width else "–",
                        words.reason_text(t, frame.problem) or t("none"),
                    )
                    with tag("tr"):
                        for head, cell in zip(heads, cells, strict=False):
                            tag("td", cell, "number", data_label=head)
                        with tag("td", classes="digest", data_label=heads[-1]):
                            _evidence_link(context, frame)


def _evidence_link(context: Context, frame: FrameOut) -> None:
    if frame.evidence is None or frame.sha256 is None:
        tag("span", context.t("no picture"))
        return
    tag("code", f"{frame.sha256[:_SHORT_DIGEST]}…", title=frame.sha256)
    tag("a", context.t("Open the picture"), href=frame.evidence, target="_blank")

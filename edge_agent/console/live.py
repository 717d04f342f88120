"""The live page: the truck on the scale, its grade readable across a room."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from nicegui import ui

from edge_agent.api.ports import StationPort
from edge_agent.api.schemas import ArrivalOut, GradingOut, State, arrival_out
from edge_agent.console import parts
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import Region, icon, tag
from edge_agent.console.grade_button import GradeButton
from edge_agent.console.page import TICK_S, Context, Frame, context_of, in_thread
from edge_agent.records.store import Query
from edge_agent.status import CameraState, CameraStatus, ScaleStatus

_EARLIER = 10
_LONG = 24
"""Longer values are written smaller, so that they do not push the grade aside."""


@dataclass(frozen=True)
class Trucks:
    """The newest truck and those before it."""

    last: ArrivalOut | None
    earlier: tuple[ArrivalOut, ...]


def load(station: StationPort) -> Trucks:
    """Reads the newest trucks. Blocking. Raises one of STORE_FAULTS."""
    found = [arrival_out(a) for a in station.store.find(Query(), limit=1 + _EARLIER)]
    return Trucks(found[0] if found else None, tuple(found[1:]))


async def page(station: StationPort, request: Request) -> None:
    """Draws the page and keeps it fresh."""
    context = context_of(station, request)
    with Frame(context, "/", context.t("Live")) as frame, tag("div", classes="live"):
        enlarger = parts.Enlarger(context)
        hero = Region[ArrivalOut | None](lambda a: _hero(context, a), "hero-slot", "section")
        with tag("section", classes="frames-block"):
            frames = Region[tuple[parts.FrameSlot, ...]](
                lambda s: _frames(context, s, enlarger), "frames"
            )
            skew = Region[tuple[float | None, float | None]](
                lambda v: _figures(context, *v), "figures"
            )
        with tag("div", classes="side"):
            with tag("section", classes="panel scale-slot"):
                scale = Region[ScaleStatus | None](lambda s: _scale(context, s), "scale")
                GradeButton(context)
            cameras = Region[tuple[tuple[CameraStatus, ...], bool]](
                lambda v: _cameras(context, *v), "panel cameras-slot", "section"
            )
        earlier = Region[tuple[ArrivalOut, ...]](
            lambda a: _earlier(context, a), "panel earlier-slot", "section"
        )

        async def refresh() -> None:
            trucks = await in_thread(load, station)
            last = trucks.last
            hero.show(last)
            frames.show(parts.slots(last))
            grading = last.grading if last is not None else None
            skew.show((grading.skew_ms, grading.latency_ms) if grading else (None, None))
            earlier.show(trucks.earlier)

        def pulse() -> None:
            # The weight changes without the revision growing.
            status = station.status()
            scale.show(status.scale)
            cameras.show((tuple(map(_dot, status.cameras)), status.ready))

        frame.pulse(pulse)()
        await frame.first(refresh)
    frame.every_tick(refresh)
    ui.timer(TICK_S, frame.pulse(pulse))


def _hero(context: Context, arrival: ArrivalOut | None) -> None:
    if arrival is None:
        _empty(context)
        return
    grading = arrival.grading
    look = f"state-{arrival.state}"
    if arrival.state is State.GRADED and grading is not None:
        look = f"grade-{grading.grade}"
    with tag("a", classes=f"hero {look}", href=f"/trucks/{arrival.id}", data_id=arrival.id):
        if grading is None:
            _waiting(context)
        elif arrival.state is State.REFUSED:
            _refused(context, grading)
        elif arrival.state is State.NEEDS_PERSON:
            _needs_person(context, grading)
        else:
            _graded(context, grading)
    _facts(context, arrival)


def _empty(context: Context) -> None:
    t = context.t
    with tag("div", classes="hero state-none"):
        with tag("span", classes="hero-icons", aria_hidden="true"):
            icon("local_shipping")
        with tag("div", classes="hero-text"):
            tag("div", t("No truck yet"), "hero-word")
            tag("div", t("The grade appears here as soon as a truck is on the scale."), "hero-note")


def _waiting(context: Context) -> None:
    with tag("span", classes="hero-icons"):
        ui.spinner("dots", size="1em", color="current")
    with tag("div", classes="hero-text", role="status"):
        tag("div", context.t("Grading…"), "hero-word")
        tag("div", context.t("Taking and checking the pictures."), "hero-note")


def _graded(context: Context, grading: GradingOut) -> None:
    t, f = context.t, context.f
    if grading.grade is None:
        return
    look = words.GRADE_LOOKS[grading.grade]
    parts.grade_icons(grading.grade, "hero-icons")
    with tag("div", classes="hero-text", role="status"):
        with tag("div", classes="hero-word"):
            for line in look.lines(t):
                tag("div", line)
        with tag("div", classes="hero-confidence"):
            tag("span", t("Confidence"))
            parts.bar(grading.confidence or 0.0)
            tag("strong", f.percent(grading.confidence), "number")


def _needs_person(context: Context, grading: GradingOut) -> None:
    t, f = context.t, context.f
    with tag("span", classes="hero-icons", aria_hidden="true"):
        icon(words.STATE_ICONS["needs_person"])
    with tag("div", classes="hero-text", role="status"):
        tag("div", t("Needs a person"), "hero-word")
        guess = words.grade_name(t, grading.grade)
        note = t(
            "The model is not sure: {grade}, {confidence}.",
            grade=guess,
            confidence=f.percent(grading.confidence),
        )
        tag("div", note, "hero-note strong")
        tag("div", t("Look at the load and the pictures, and decide."), "hero-note")


def _refused(context: Context, grading: GradingOut) -> None:
    t = context.t
    with tag("span", classes="hero-icons", aria_hidden="true"):
        icon(words.STATE_ICONS["refused"])
    with tag("div", classes="hero-text", role="status"):
        tag("div", t("Not graded"), "hero-word")
        tag("div", words.reason_text(t, grading.reason), "hero-note strong")
        if grading.detail:
            tag("div", grading.detail, "hero-note detail")
        tag("div", words.advice(t, grading.reason), "hero-note")


def _facts(context: Context, arrival: ArrivalOut) -> None:
    t, f = context.t, context.f
    rows = (
        (t("Plate"), parts.plate_text(arrival) or "–", "plate"),
        (t("Ticket"), arrival.ticket or t("no ticket"), "ticket"),
        (t("Weight"), f.number(arrival.weight_kg, unit=t("kg")), "number"),
        (t("Time"), f.clock(arrival.instant), "number"),
    )
    with tag("dl", classes="facts"):
        for name, value, classes in rows:
            with tag("div", classes=f"fact fact-{classes}"):
                tag("dt", name)
                tag("dd", value, f"{classes} long" if len(value) > _LONG else classes, title=value)


def _frames(context: Context, slots: tuple[parts.FrameSlot, ...], enlarger: parts.Enlarger) -> None:
    for slot in slots:
        width = 1280 if slot.camera == parts.GRADED_CAMERA else 480
        parts.frame_card(context, slot, enlarger, width)


def _figures(context: Context, skew: float | None, latency: float | None) -> None:
    t, f = context.t, context.f
    with tag("span"):
        tag("span", t("Time between the pictures"))
        tag("strong", f.number(skew, unit=t("ms")), "number")
    with tag("span"):
        tag("span", t("Arrival to record"))
        tag("strong", f.number(latency, unit=t("ms")), "number")


def _scale(context: Context, scale: ScaleStatus | None) -> None:
    t, f = context.t, context.f
    with tag("h2"):
        tag("span", t("Scale"))
    if scale is None:
        tag("div", t("No scale indicator is set up."), "muted")
        return
    if not scale.connected:
        with tag("div", classes="trouble"):
            icon("link_off")
            tag("span", t("The scale indicator does not answer."))
        return
    with tag("div", classes="scale-weight"):
        tag("span", f.number(scale.weight_kg), "number weight-value")
        tag("span", t("kg"), "weight-unit")
    with tag("div", classes=f"phase phase-{scale.phase}"):
        icon("lock" if scale.stable else "swap_vert")
        tag("span", t(words.PHASES.get(scale.phase, scale.phase)))
        tag("span", t("stable") if scale.stable else t("moving"), "muted")


def _dot(camera: CameraStatus) -> CameraStatus:
    """Only what the row shows, so that it is not redrawn with every packet."""
    return CameraStatus(camera.camera, camera.state, "", camera.problem)


def _cameras(context: Context, cameras: tuple[CameraStatus, ...], ready: bool) -> None:
    t = context.t
    with tag("h2"):
        tag("span", t("Cameras"))
        tag("a", t("Details"), href="/health")
    if not ready:
        with tag("a", classes="trouble", href="/health"):
            icon("warning")
            tag("span", t("A truck arriving now would not be graded."))
    with tag("ul", classes="dots"):
        for camera in cameras:
            with tag("li", classes=f"dot-row {camera.state}"):
                tag("span", classes="dot", aria_hidden="true")
                tag("strong", camera.camera)
                troubled = camera.state is CameraState.TROUBLED and camera.problem is not None
                text = words.reason_text(t, camera.problem) if troubled else ""
                tag("span", text or t(words.CAMERA_STATES[camera.state]))


def _earlier(context: Context, arrivals: tuple[ArrivalOut, ...]) -> None:
    t = context.t
    with tag("h2"):
        tag("span", t("Trucks before this one"))
        tag("a", t("All trucks"), href="/trucks")
    if arrivals:
        parts.trucks_table(context, arrivals, compact=True)
    else:
        tag("div", t("None yet."), "muted")

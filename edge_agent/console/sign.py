"""The large sign of the live page: what to know about the truck on the scale, across a room."""

from __future__ import annotations

from nicegui import ui

from edge_agent.api.schemas import ArrivalOut, GradingOut, State
from edge_agent.console import parts
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import icon, tag
from edge_agent.console.page import Context
from edge_agent.console.texts import N_

_LONG = 24
"""Longer values are written smaller, so that they do not push the sign aside."""

_PHASE_NOTES = {
    "empty": N_("The grade appears here as soon as a truck is on the scale."),
    "rising": N_("It is graded when the weight is stable."),
    "on_scale": N_("Waiting for the ticket. Without one it is graded in a moment."),
}

_PHASE_ICONS = {"empty": "scale", "leaving": "logout"}


def truck_sign(context: Context, arrival: ArrivalOut) -> None:
    """The state or grade of the truck on the scale; leads to the truck's page."""
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


def scale_sign(context: Context, phase: str | None, weight_kg: float | None) -> None:
    """What the scale knows of a truck that is not announced yet; None: there is no truck at all."""
    t, f = context.t, context.f
    look = "state-none" if phase in (None, "empty") else "state-coming"
    with tag("div", classes=f"hero {look}", data_phase=phase):
        with tag("span", classes="hero-icons", aria_hidden="true"):
            icon(_PHASE_ICONS.get(phase or "", "local_shipping"))
        with tag("div", classes="hero-text", role="status"):
            if phase is None:
                tag("div", t("No truck yet"), "hero-word")
            else:
                tag("div", t(words.PHASES.get(phase, phase)), "hero-word")
            if phase not in (None, "empty"):
                tag("div", f.number(weight_kg, unit=t("kg")), "hero-weight number")
            note = _PHASE_NOTES.get(phase or "empty")
            if note is not None:
                tag("div", t(note), "hero-note")


def facts(context: Context, arrival: ArrivalOut | None) -> None:
    """Plate, ticket, weight and time of the truck on the scale."""
    if arrival is None:
        return
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


def previous_truck(context: Context, arrival: ArrivalOut | None, when: str) -> None:
    """The outcome of the truck that has driven off, too small to be taken for the present one's.

    when: how long ago it was, in words.
    """
    if arrival is None:
        return
    t = context.t
    with tag("a", classes="previous", href=f"/trucks/{arrival.id}", data_id=arrival.id):
        with tag("span", classes="previous-name"):
            icon("history")
            tag("strong", t("Previous truck"))
        parts.badge(context, arrival)
        tag("span", arrival.ticket or t("no ticket"), "previous-ticket", title=arrival.ticket)
        tag("span", arrival.plate or "", "previous-plate", title=parts.plate_text(arrival))
        tag("span", when, "previous-when")


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
        tag("div", words.advice(t, grading.reason), "hero-note")
        parts.technical(context, parts.refusal_detail(grading))

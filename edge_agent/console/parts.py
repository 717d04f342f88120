"""Pieces that several pages show: badges, bars, definitions, technical details, the table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from edge_agent.api.schemas import ArrivalOut, GradingOut, State, TrashOut
from edge_agent.console import trash
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import icon, tag
from edge_agent.console.page import Context
from edge_agent.grades import Grade

_MINUTE_S: Final = 60.0


def badge(context: Context, arrival: ArrivalOut) -> None:
    """The state of a truck in one small coloured sign with icon and words."""
    grading = arrival.grading
    if arrival.state is State.GRADED and grading is not None and grading.grade is not None:
        with tag("span", classes=f"badge grade-{grading.grade}"):
            for name in words.GRADE_LOOKS[grading.grade].icons:
                icon(name)
            tag("span", words.grade_name(context.t, grading.grade))
        return
    with tag("span", classes=f"badge state-{arrival.state}"):
        icon(words.STATE_ICONS[arrival.state])
        tag("span", context.t(words.STATES[arrival.state]))


def plate_text(arrival: ArrivalOut) -> str:
    """Plate and province as far as known."""
    return " ".join(part for part in (arrival.plate, arrival.province) if part)


def bar(share: float, classes: str = "") -> None:
    """A horizontal bar, 0 to 1."""
    with tag("span", classes=f"bar {classes}", aria_hidden="true"):
        tag("span", classes="bar-fill", style=f"width:{max(0.0, min(1.0, share)) * 100:.1f}%")


def definitions(title: str, rows: Iterable[tuple[str, str]], classes: str = "") -> None:
    """A heading and names with their values."""
    with tag("h2"):
        tag("span", title)
    with tag("dl", classes=f"defs {classes}"):
        for name, value in rows:
            tag("dt", name)
            tag("dd", value, "number")


def technical(context: Context, detail: str | None) -> None:
    """What the agent noted for IT; it is English in every language, and says so."""
    if detail:
        with tag("div", classes="technical"):
            tag("span", context.t("Technical detail:"))
            tag("span", detail, lang="en")


def refusal_detail(grading: GradingOut) -> str | None:
    """The technical detail of a refusal, if it says more than its reason."""
    return None if grading.detail == grading.reason_text else grading.detail


def since(context: Context, instant: datetime, now: datetime) -> str:
    """How long ago, in words, to the minute."""
    seconds = (now - instant).total_seconds()
    return context.t("just now") if seconds < _MINUTE_S else context.f.ago(seconds)


def grade_icons(grade: Grade, classes: str) -> None:
    """The pictograms of a grade."""
    with tag("span", classes=classes, aria_hidden="true"):
        for name in words.GRADE_LOOKS[grade].icons:
            icon(name)


def trucks_table(
    context: Context, arrivals: tuple[ArrivalOut, ...], *, compact: bool = False
) -> None:
    """Trucks as rows; each whole row leads to the truck's page. Becomes cards on a phone.

    With a column for the estimate of trash where one of them has it and there is room.
    """
    t, f = context.t, context.f
    now = datetime.now(UTC)
    of_trash = () if compact or not any(map(_trash, arrivals)) else (t("Trash (estimate)"),)
    with tag("table", classes="trucks" + (" compact" if compact else "")):
        with tag("thead"), tag("tr"):
            heads = (t("Time"), t("Outcome"), t("Confidence"), *of_trash, t("Ticket"), t("Plate"))
            for name in heads:
                tag("th", name, scope="col")
            tag("th", t("Weight"), "right", scope="col")
        with tag("tbody"):
            for arrival in arrivals:
                with tag("tr", data_id=arrival.id):
                    with tag("td", classes="number when"):
                        when = f.short(arrival.instant, now)
                        tag("a", when, "row-link", href=f"/trucks/{arrival.id}")
                    _outcome_cells(context, arrival, compact)
                    for name in of_trash:
                        found = _trash(arrival)
                        text = "" if found is None else trash.in_short(f, found)
                        tag("td", text, "number trash", data_label=name)
                    tag("td", arrival.ticket or t("no ticket"), "ticket")
                    plate = plate_text(arrival) or "–"
                    tag("td", (compact and arrival.plate) or plate, "plate", title=plate)
                    tag("td", f.number(arrival.weight_kg, unit=t("kg")), "number right weight")


def _trash(arrival: ArrivalOut) -> TrashOut | None:
    return None if arrival.grading is None else arrival.grading.trash


def _outcome_cells(context: Context, arrival: ArrivalOut, compact: bool) -> None:
    remark = _remark(context, arrival)
    # A reason is long and a confidence short: where room is scarce, a reason takes both cells.
    together = compact and arrival.state in (State.REFUSED, State.NEEDS_PERSON)
    with tag("td", classes="what", colspan="2" if together else None):
        badge(context, arrival)
        if together:
            tag("span", remark, "because", title=remark)
    if not together:
        tag("td", remark, "remark")


def _remark(context: Context, arrival: ArrivalOut) -> str:
    grading = arrival.grading
    if grading is None:
        return ""
    if arrival.state is State.REFUSED:
        return words.reason_text(context.t, grading.reason)
    if arrival.state is State.NEEDS_PERSON:
        guess = words.grade_name(context.t, grading.grade)
        return f"{guess} {context.f.percent(grading.confidence)}"
    return context.f.percent(grading.confidence)

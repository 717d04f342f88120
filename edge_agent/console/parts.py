"""Pieces that several pages show: badges, frames, and the dialog that enlarges a frame."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nicegui import ui

from edge_agent.api.schemas import ArrivalOut, FrameOut, State
from edge_agent.config import CAMERA_IDS
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import icon, tag
from edge_agent.console.page import Context
from edge_agent.grades import Grade

GRADED_CAMERA: Final = "C301"


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


@dataclass(frozen=True)
class FrameSlot:
    """What to show in a camera's place: its frame, or that there is none yet."""

    camera: str
    frame: FrameOut | None
    area: tuple[float, ...] | None = None
    """left, top, right, bottom of the graded part, as fractions."""


def slots(arrival: ArrivalOut | None) -> tuple[FrameSlot, ...]:
    """The four cameras' places for a truck, in the order of the cameras."""
    grading = arrival.grading if arrival is not None else None
    frames = {frame.camera: frame for frame in grading.frames} if grading is not None else {}
    area = tuple(grading.graded_area) if grading is not None and grading.graded_area else None
    return tuple(
        FrameSlot(camera, frames.get(camera), area if camera == GRADED_CAMERA else None)
        for camera in CAMERA_IDS
    )


class Enlarger:
    """A dialog that shows one frame as large as the screen."""

    def __init__(self, context: Context) -> None:
        self._context = context
        with ui.dialog().props("maximized") as self._dialog, tag("div", classes="enlarged"):
            with tag("div", classes="enlarged-head"):
                self._title = ui.label()
                with tag("button", classes="plain", type="button") as close:
                    icon("close")
                    tag("span", context.t("Close"))
                close.on("click", self._dialog.close)
            self._body = tag("div", classes="enlarged-body")

    def open(self, slot: FrameSlot) -> None:
        """Shows that frame."""
        if slot.frame is None or slot.frame.evidence is None:
            return
        self._title.text = frame_title(self._context, slot.camera)
        self._body.clear()
        with self._body, tag("div", classes="picture"):
            tag("img", src=slot.frame.evidence, alt=self._title.text)
            _outline(slot)
        self._dialog.open()


def frame_title(context: Context, camera: str) -> str:
    """A camera's id with what it looks at."""
    return f"{camera} · {context.t(words.CAMERA_NAMES[camera])}"


def frame_card(context: Context, slot: FrameSlot, enlarger: Enlarger, width: int) -> None:
    """One camera's frame with its capture time and problem; a click enlarges it.

    width: of the thumbnail to fetch.
    """
    t, frame = context.t, slot.frame
    graded = " graded" if slot.camera == GRADED_CAMERA else ""
    with tag("figure", classes=f"frame{graded}", id=f"frame-{slot.camera}"):
        if frame is not None and frame.evidence is not None:
            with tag(
                "button",
                classes="picture",
                type="button",
                aria_label=t("Enlarge {camera}", camera=slot.camera),
            ) as button:
                source = f"{frame.evidence}?width={width}"
                tag("img", src=source, alt=frame_title(context, slot.camera))
                _outline(slot)
            button.on("click", lambda: enlarger.open(slot))
        else:
            with tag("div", classes="picture missing"):
                icon("hourglass_top" if frame is None else "no_photography")
                problem = None if frame is None else frame.problem
                tag("span", words.reason_text(t, problem) or t("No picture yet"))
        with tag("figcaption"):
            _caption(context, slot)


def _outline(slot: FrameSlot) -> None:
    if slot.area is not None:
        left, top, right, bottom = (100 * edge for edge in slot.area)
        style = f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;"
        tag("span", classes="outline", style=f"{style}height:{bottom - top:.2f}%")


def _caption(context: Context, slot: FrameSlot) -> None:
    t, f, frame = context.t, context.f, slot.frame
    with tag("div", classes="frame-name"):
        tag("strong", slot.camera)
        tag("span", t(words.CAMERA_NAMES[slot.camera]))
        if slot.camera == GRADED_CAMERA:
            tag("span", t("graded picture"), "mark")
    if frame is None or frame.captured_at is None:
        return
    with tag("div", classes="frame-time"):
        tag("span", f.clock_ms(frame.captured_at), "number frame-at")
        tag("span", f.signed(frame.error_ms, t("ms")), "number")
        if frame.clock is not None:
            clock = t(words.CLOCKS.get(frame.clock, frame.clock))
            with tag("span", classes="frame-clock", title=clock):
                icon(words.CLOCK_ICONS.get(frame.clock, "schedule"))
                tag("span", clock)
    if frame.problem is not None:
        with tag("div", classes="frame-problem"):
            icon("warning")
            tag("span", words.reason_text(t, frame.problem))


def grade_icons(grade: Grade, classes: str) -> None:
    """The pictograms of a grade."""
    with tag("span", classes=classes, aria_hidden="true"):
        for name in words.GRADE_LOOKS[grade].icons:
            icon(name)


def trucks_table(
    context: Context, arrivals: tuple[ArrivalOut, ...], *, compact: bool = False
) -> None:
    """Trucks as rows; each whole row leads to the truck's page. Becomes cards on a phone."""
    t, f = context.t, context.f
    now = datetime.now(UTC)
    with tag("table", classes="trucks" + (" compact" if compact else "")):
        with tag("thead"), tag("tr"):
            for name in (t("Time"), t("Outcome"), t("Confidence"), t("Ticket"), t("Plate")):
                tag("th", name, scope="col")
            tag("th", t("Weight"), "right", scope="col")
        with tag("tbody"):
            for arrival in arrivals:
                with tag("tr", data_id=arrival.id):
                    with tag("td", classes="number when"):
                        when = f.short(arrival.instant, now)
                        tag("a", when, "row-link", href=f"/trucks/{arrival.id}")
                    _outcome_cells(context, arrival, compact)
                    tag("td", arrival.ticket or t("no ticket"), "ticket")
                    plate = plate_text(arrival) or "–"
                    tag("td", (compact and arrival.plate) or plate, "plate", title=plate)
                    tag("td", f.number(arrival.weight_kg, unit=t("kg")), "number right weight")


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

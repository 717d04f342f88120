"""The frames of a truck: a card for each camera, and the dialog that enlarges one."""

from __future__ import annotations

from dataclasses import dataclass

from nicegui import ui

from edge_agent.api.schemas import ArrivalOut, FrameOut
from edge_agent.cameras.frames import GRADED_CAMERA
from edge_agent.config import CAMERA_IDS
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import icon, tag
from edge_agent.console.page import Context

_WIDTH, _GRADED_WIDTH = 480, 1280
"""Of the thumbnails to fetch, in pixels."""


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
        self._title.text = _title(self._context, slot.camera)
        self._body.clear()
        with self._body, tag("div", classes="picture"):
            tag("img", src=slot.frame.evidence, alt=self._title.text)
            _outline(slot)
        self._dialog.open()


def frame_cards(context: Context, shown: tuple[FrameSlot, ...], enlarger: Enlarger) -> None:
    """The cameras' frames, the graded one large."""
    for slot in shown:
        _card(context, slot, enlarger)


def _title(context: Context, camera: str) -> str:
    return f"{camera} · {context.t(words.CAMERA_NAMES[camera])}"


def _card(context: Context, slot: FrameSlot, enlarger: Enlarger) -> None:
    graded = slot.camera == GRADED_CAMERA
    with tag("figure", classes="frame graded" if graded else "frame", id=f"frame-{slot.camera}"):
        with tag("div", classes="picture-box"):
            _picture(context, slot, enlarger)
        with tag("figcaption", title=_title(context, slot.camera)):
            _caption(context, slot)


def _picture(context: Context, slot: FrameSlot, enlarger: Enlarger) -> None:
    t, frame = context.t, slot.frame
    if frame is None or frame.evidence is None:
        with tag("div", classes="picture missing"):
            icon("hourglass_top" if frame is None else "no_photography")
            problem = None if frame is None else frame.problem
            tag("span", words.reason_text(t, problem) or t("No picture yet"))
        return
    label = t("Enlarge {camera}", camera=slot.camera)
    with tag("button", classes="picture", type="button", aria_label=label) as button:
        width = _GRADED_WIDTH if slot.camera == GRADED_CAMERA else _WIDTH
        source = f"{frame.evidence}?width={width}"
        tag("img", src=source, alt=_title(context, slot.camera))
        _outline(slot)
    button.on("click", lambda: enlarger.open(slot))


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

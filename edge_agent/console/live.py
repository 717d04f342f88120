"""The live page: the truck on the scale, its grade readable across a room."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import Request

from edge_agent.api.ports import StationPort
from edge_agent.api.schemas import ArrivalOut, arrival_out
from edge_agent.console import parts, sign
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import Region, icon, tag
from edge_agent.console.frames import Enlarger, FrameSlot, frame_cards, slots
from edge_agent.console.grade_button import GradeButton
from edge_agent.console.page import Context, Frame, context_of, in_thread
from edge_agent.console.present import Present, ScaleWatch, present
from edge_agent.records.store import Query
from edge_agent.status import CameraState, CameraStatus, ScaleStatus, StationStatus

_EARLIER = 10
_READ = _EARLIER + 2
"""The truck on the scale and the previous one stand apart from the earlier ones."""


def load(station: StationPort) -> tuple[ArrivalOut, ...]:
    """Reads the newest trucks. Blocking. Raises one of STORE_FAULTS."""
    return tuple(arrival_out(a) for a in station.store.find(Query(), limit=_READ))


async def page(station: StationPort, watch: ScaleWatch, request: Request) -> None:
    """Draws the page and keeps it fresh."""
    context = context_of(station, request)
    with Frame(context, "/", context.t("Live")) as frame, tag("div", classes="live"):
        live = _Live(context, watch)
        frame.watch(live.see)
        await frame.first(live.refresh)
    frame.every_tick(live.refresh)


class _Live:
    """The regions of the page; redrawn when a truck comes or the scale has something to say."""

    def __init__(self, context: Context, watch: ScaleWatch) -> None:
        self._context = context
        self._watch = watch
        self._newest: tuple[ArrivalOut, ...] | None = None
        self._scale_now: ScaleStatus | None = None
        enlarger = Enlarger(context)
        with tag("section", classes="hero-slot"):
            self._sign = Region[tuple[Present, float | None]](
                lambda v: _sign(context, *v), "sign-slot"
            )
            self._facts = Region[ArrivalOut | None](lambda a: sign.facts(context, a), "facts-slot")
            self._previous = Region[tuple[ArrivalOut | None, str]](
                lambda v: sign.previous_truck(context, *v), "previous-slot"
            )
        with tag("section", classes="frames-block"):
            self._frames = Region[tuple[tuple[FrameSlot, ...], bool]](
                lambda v: _frames(context, *v, enlarger), "frames-slot"
            )
            self._figures = Region[tuple[float | None, float | None]](
                lambda v: _figures(context, *v), "figures"
            )
        with tag("div", classes="side"):
            with tag("section", classes="panel scale-slot"):
                self._scale = Region[ScaleStatus | None](lambda s: _scale(context, s), "scale")
                GradeButton(context)
            self._cameras = Region[tuple[CameraStatus, ...]](
                lambda v: _cameras(context, v), "panel cameras-slot", "section"
            )
        self._earlier = Region[tuple[ArrivalOut, ...]](
            lambda a: _earlier(context, a), "panel earlier-slot", "section"
        )

    async def refresh(self) -> None:
        """Reads the trucks anew."""
        self._newest = await in_thread(load, self._context.station)
        self._draw()

    def see(self, status: StationStatus) -> None:
        """Takes the station's status; the weight changes without the revision growing."""
        self._scale_now = status.scale
        self._scale.show(status.scale)
        self._cameras.show(tuple(map(_dot, status.cameras)))
        self._draw()

    def _draw(self) -> None:
        if self._newest is None:
            return
        now = datetime.now(UTC)
        scale = self._scale_now
        self._watch.see(scale, now)
        shown = present(self._newest, scale, self._watch.since, _EARLIER)
        self._sign.show((shown, scale.weight_kg if scale and shown.truck is None else None))
        self._facts.show(shown.truck)
        when = parts.since(self._context, shown.previous.instant, now) if shown.previous else ""
        self._previous.show((shown.previous, when))
        pictured = shown.truck or shown.previous
        self._frames.show((slots(pictured), shown.truck is None and pictured is not None))
        grading = pictured.grading if pictured is not None else None
        self._figures.show((grading.skew_ms, grading.latency_ms) if grading else (None, None))
        self._earlier.show(shown.earlier)


def _sign(context: Context, shown: Present, weight_kg: float | None) -> None:
    if shown.truck is not None:
        sign.truck_sign(context, shown.truck)
    else:
        sign.scale_sign(context, shown.phase, weight_kg)


def _frames(
    context: Context, shown: tuple[FrameSlot, ...], previous: bool, enlarger: Enlarger
) -> None:
    if previous:
        with tag("div", classes="frames-previous"):
            icon("history")
            tag("span", context.t("Pictures of the previous truck"))
    with tag("div", classes="frames faded" if previous else "frames"):
        frame_cards(context, shown, enlarger)


def _figures(context: Context, skew: float | None, latency: float | None) -> None:
    t, f = context.t, context.f
    with tag("span"):
        tag("span", t("Time between the pictures"))
        tag("strong", f.number(skew, unit=t("ms")), "number")
    with tag("span"):
        tag("span", t("Acceptance to outcome"))
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


def _cameras(context: Context, cameras: tuple[CameraStatus, ...]) -> None:
    t = context.t
    with tag("h2"):
        tag("span", t("Cameras"))
        tag("a", t("Details"), href="/health")
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
        tag("span", t("Earlier trucks"))
        tag("a", t("All trucks"), href="/trucks")
    if arrivals:
        parts.trucks_table(context, arrivals, compact=True)
    else:
        tag("div", t("None yet."), "muted")

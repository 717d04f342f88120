"""Station health: what is not well and what to do, then every figure there is."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Final

from fastapi import Request
from nicegui.elements.mixins.text_element import TextElement

from edge_agent.api.ports import StationPort
from edge_agent.config import CAMERA_IDS
from edge_agent.console import parts
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import Region, icon, tag
from edge_agent.console.page import HEALTH, Context, Frame, context_of
from edge_agent.console.problems import Problem, problems
from edge_agent.console.texts import N_
from edge_agent.status import CameraState, CameraStatus, StationStatus

_FRESH_S: Final = 2.0
"""Younger packets count as "now", so that the figure does not flicker."""

_COLUMNS: Final = (
    N_("Codec"),
    N_("Size"),
    N_("Pictures a second"),
    N_("kbit/s"),
    N_("Keyframe every"),
    N_("Delay"),
    N_("Clock"),
    N_("Last data"),
    N_("Connections"),
    N_("Address"),
)

Rows = tuple[tuple[str, str], ...]


async def page(station: StationPort, request: Request) -> None:
    """Draws the page and keeps it fresh."""
    context = context_of(station, request)
    t = context.t
    with Frame(context, HEALTH, t("Station health")) as frame, tag("div", classes="stack"):
        top = Region[tuple[bool, tuple[Problem, ...]]](lambda v: _top(context, *v), "stack")
        cameras = _CameraTable(context, CAMERA_IDS)
        with tag("div", classes="thirds"):
            panels = [
                (rows, Region[Rows](partial(parts.definitions, title), "panel", "section"))
                for title, rows in (
                    (t("Scale"), _scale_rows),
                    (t("Model"), _model_rows),
                    (t("Station"), _station_rows),
                )
            ]

        def show(status: StationStatus) -> None:
            top.show((status.ready, problems(status, t, context.f)))
            cameras.show(status.cameras)
            for rows, panel in panels:
                panel.show(rows(context, status))

        frame.watch(show)


def _top(context: Context, ready: bool, found: tuple[Problem, ...]) -> None:
    t = context.t
    with tag("div", classes=f"readiness {'ready' if ready else 'unready'}", role="status"):
        icon("check_circle" if ready else "error")
        if ready:
            tag("span", t("Ready: a truck arriving now is graded."))
        else:
            tag("span", t("Not ready: a truck arriving now would not be graded."))
    if not found:
        return
    with tag("section", classes="panel problems"):
        with tag("h2"):
            tag("span", t("What is not well"))
        with tag("ul"):
            for problem in found:
                with tag("li"):
                    icon("warning")
                    with tag("div"):
                        tag("strong", problem.text)
                        tag("div", problem.advice)
                        parts.technical(context, problem.detail)


class _CameraTable:
    """The cameras; cells are updated in place, so that text can be read and selected."""

    def __init__(self, context: Context, cameras: tuple[str, ...]) -> None:
        self._context = context
        self._states: dict[str, Region[CameraStatus]] = {}
        self._cells: dict[str, list[TextElement]] = {}
        t = context.t
        heads = [t(column) for column in _COLUMNS]
        with tag("section", classes="panel wide-table"):
            with tag("h2"):
                tag("span", t("Cameras"))
            with tag("table", classes="cards cameras"):
                with tag("thead"), tag("tr"):
                    for head in (t("Camera"), t("State"), *heads):
                        tag("th", head, scope="col")
                with tag("tbody"):
                    for camera in cameras:
                        with tag("tr", data_camera=camera):
                            with tag("td", classes="camera-name", data_label=t("Camera")):
                                tag("strong", camera)
                                tag("div", t(words.CAMERA_NAMES.get(camera, "")), "muted small")
                            with tag("td", classes="camera-state", data_label=t("State")):
                                self._states[camera] = Region(self._state)
                            self._cells[camera] = [_cell(head) for head in heads]

    def show(self, cameras: tuple[CameraStatus, ...]) -> None:
        """Shows the cameras as they are now."""
        for camera in cameras:
            if camera.camera not in self._cells:
                continue
            shown = CameraStatus(
                camera.camera, camera.state, "", camera.problem, camera.detail, armed=camera.armed
            )
            self._states[camera.camera].show(shown)
            values = _camera_values(self._context, camera)
            for cell, value in zip(self._cells[camera.camera], values, strict=True):
                cell.text = value

    def _state(self, camera: CameraStatus) -> None:
        t = self._context.t
        with tag("div", classes=f"dot-row {camera.state}"):
            tag("span", classes="dot", aria_hidden="true")
            tag("strong", t(words.CAMERA_STATES[camera.state]))
        if camera.problem is not None:
            tag("div", words.reason_text(t, camera.problem), "problem-text")
            parts.technical(self._context, camera.detail)
        if camera.state is CameraState.STREAMING and camera.armed:
            tag("div", t("decoding for a truck"), "muted small")


def _cell(head: str) -> TextElement:
    cell = TextElement(tag="td", text="")
    cell.classes("number")
    cell.props["data-label"] = head
    return cell


def _camera_values(context: Context, camera: CameraStatus) -> tuple[str, ...]:
    t, f = context.t, context.f
    age = camera.last_packet_age_s
    pictures = "–" if camera.gop is None else t("{count} pictures", count=f.number(camera.gop))
    return (
        {"h264": "H.264", "hevc": "H.265", "h265": "H.265"}.get(
            camera.codec or "", camera.codec or "–"
        ),
        f"{camera.width} × {camera.height}" if camera.width else "–",
        f.number(camera.fps, 1),
        f.number(camera.kbit_s),
        pictures,
        f.number(camera.delay_ms, unit=t("ms")),
        t(words.CLOCKS.get(camera.clock, camera.clock)) if camera.clock else "–",
        t("now") if age is not None and age < _FRESH_S else f.ago(age),
        f.number(camera.connects),
        camera.url,
    )


def _scale_rows(context: Context, status: StationStatus) -> Rows:
    t, f, scale = context.t, context.f, status.scale
    if scale is None:
        return ((t("State"), t("No scale indicator is set up.")),)
    if not scale.connected:
        return ((t("State"), t("The scale indicator does not answer.")),)
    return (
        (t("State"), t("Working")),
        (t("Weight"), f.number(scale.weight_kg, unit=t("kg"))),
        (t("Phase"), t(words.PHASES.get(scale.phase, scale.phase))),
        (t("Motion"), t("stable") if scale.stable else t("moving")),
    )


def _model_rows(context: Context, status: StationStatus) -> Rows:
    t, f, model = context.t, context.f, status.model
    if not model.loaded:
        return ((t("State"), t("No model is loaded")),)
    return (
        (t("Name"), model.name or "–"),
        (t("Version"), model.version or "–"),
        (t("Precision"), model.precision or "–"),
        (t("A person is needed below"), f.percent(model.confidence_threshold)),
        (t("Digest"), model.digest or "–"),
    )


def _station_rows(context: Context, status: StationStatus) -> Rows:
    t, f = context.t, context.f
    up = (datetime.now(UTC) - status.started_at).total_seconds()
    return (
        (t("Station"), f"{status.station} · {status.name}"),
        (t("Agent version"), status.version),
        (t("Started"), f"{f.moment(status.started_at)} ({f.ago(up)})"),
        (t("Trucks waiting for a grade"), f.number(status.waiting)),
        (t("Free space for records"), f.gigabytes(status.disk_free_bytes)),
    )

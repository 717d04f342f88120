"""The button that grades the truck on the scale now, for when nothing else announced it."""

from __future__ import annotations

import logging

from nicegui import ui

from edge_agent.api.ports import STORE_FAULTS
from edge_agent.console.elements import Region, icon, tag
from edge_agent.console.page import Context, in_thread
from edge_agent.status import ScaleStatus

log = logging.getLogger(__name__)


class GradeButton:
    """A large button; asks before it announces and says what came of it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._busy = False
        t = context.t
        with tag("button", classes="action", type="button", id="grade-now") as self._button:
            icon("photo_camera")
            tag("span", t("Grade the truck on the scale now"))
        self._button.on("click", self._ask)
        with ui.dialog() as self._dialog, tag("div", classes="dialog", role="alertdialog"):
            tag("h2", t("Grade the truck on the scale now?"))
            tag("p", t("The four cameras take pictures and a new record is made."))
            self._doubt = Region(self._say_doubt, "doubt-slot")
            with tag("div", classes="dialog-actions"):
                cancel = tag("button", t("Cancel"), "plain", type="button")
                confirm = tag("button", t("Yes, grade it"), "action", type="button", id="grade-yes")
            cancel.on("click", self._dialog.close)
            confirm.on("click", self._announce)

    def _ask(self) -> None:
        scale = self._context.station.status().scale
        self._doubt.show(_doubt(self._context, scale))
        self._dialog.open()

    def _say_doubt(self, text: str) -> None:
        if text:
            with tag("div", classes="trouble"):
                icon("warning")
                tag("span", text)

    async def _announce(self) -> None:
        # A double click must not make two trucks.
        if self._busy:
            return
        self._busy = True
        self._dialog.close()
        t, station = self._context.t, self._context.station
        try:
            scale = station.status().scale
            weight = scale.weight_kg if scale is not None and scale.stable else None
            await in_thread(station.announce, source="button", weight_kg=weight)
        except (*STORE_FAULTS, OSError) as error:
            log.error("console: arrival not accepted: %s", error)
            text = t("The truck was not accepted: the records cannot be written. Try again.")
            ui.notify(text, type="negative", timeout=10_000)
        else:
            ui.notify(t("Truck accepted. Grading…"), type="positive")
        finally:
            self._busy = False


def _doubt(context: Context, scale: ScaleStatus | None) -> str:
    t = context.t
    if scale is None:
        return ""
    if not scale.connected:
        return t("The scale indicator does not answer.")
    if scale.phase == "empty":
        return t("The scale says that it is empty.")
    return "" if scale.stable else t("The weight is still moving.")

"""What every page has: its language, the header, the bars for faults, and a heartbeat."""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, ParamSpec, TypeVar

from fastapi import Request
from nicegui import ui

from edge_agent.api.ports import STORE_FAULTS, StationPort
from edge_agent.console.elements import Region, icon, tag
from edge_agent.console.formats import Formats
from edge_agent.console.problems import problems
from edge_agent.console.texts import LANGUAGES, N_, Texts
from edge_agent.errors import AgentError
from edge_agent.status import StationStatus

log = logging.getLogger(__name__)

TICK_S: Final = 0.5
"""How often an open page looks whether the station has changed."""

HEALTH: Final = "/health"
MODELS: Final = "/models"

NAVIGATION: Final = (
    ("/", "local_shipping", N_("Live")),
    ("/trucks", "format_list_bulleted", N_("Trucks")),
    (MODELS, "model_training", N_("Models")),
    (HEALTH, "monitor_heart", N_("Station health")),
)

RETRY_S: Final = 3.0
"""How long after a fault the records are read again."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Context:
    """What a page is drawn with: the station and the reader's language."""

    station: StationPort
    t: Texts
    f: Formats


def context_of(station: StationPort, request: Request) -> Context:
    """The context of a request; its language is the browser's choice or the station's own."""
    section = station.config.station
    chosen = request.session.get("language")
    language = chosen if chosen in LANGUAGES else section.language
    return Context(station, Texts(language), Formats(language, section.timezone))


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs blocking work, above all on the store, off the event loop."""
    return await asyncio.to_thread(functools.partial(function, *args, **kwargs))


@dataclass(frozen=True)
class Troubles:
    """What the bar for problems says; it is empty when the station is ready and first is None."""

    ready: bool
    first: str | None
    more: int


class Frame:
    """The frame of a page: use as a context manager and put the content inside."""

    def __init__(self, context: Context, path: str, title: str) -> None:
        self._context = context
        self._path = path
        self._title = title
        self._seen = -1
        self._watchers: list[Callable[[StationStatus], None]] = []
        self._retry_at: float | None = None

    def __enter__(self) -> Frame:
        t, section = self._context.t, self._context.station.config.station
        client = ui.context.client
        # A page object is shared by all its readers; the language belongs to this reader only.
        client.page = copy.copy(client.page)
        client.page.language = "th" if t.language == "th" else "en-GB"
        client.page.title = f"{self._title} · {section.name}"
        self._header()
        self._fault = Region(self._fault_bar, "fault-slot")
        self._mute = Region(self._fault_bar, "fault-slot")
        self._troubles = Region[Troubles](self._trouble_bar, "fault-slot")
        # A plain div: NiceGUI puts the whole page inside a <main>.
        self._main = tag("div", classes="page")
        self._main.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._main.__exit__()
        self._pulse()
        # A timer makes NiceGUI send the page at the next await, so there is none before this.
        ui.timer(1.0, self._tell_time)
        ui.timer(TICK_S, self._pulse)

    def _tell_time(self) -> None:
        now, f = datetime.now(UTC), self._context.f
        self._day.set_text(f.day(now))
        self._clock.set_text(f.clock(now))

    def every_tick(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Calls refresh when the station's revision has grown, and after a fault until it works.

        To be called outside the frame, when the page is filled.
        """
        station = self._context.station

        async def tick() -> None:
            revision = station.revision
            if self._retry_at is None:
                due = revision != self._seen
            else:
                due = time.monotonic() >= self._retry_at
            if due:
                # Taken before the reading: what changes meanwhile is read at the next tick.
                self._seen = revision
                await self._guarded(refresh)

        ui.timer(TICK_S, tick)

    def watch(self, show: Callable[[StationStatus], None]) -> None:
        """Calls show with the station's status, now and at every tick."""
        self._watchers.append(show)
        self._pulse()

    def _pulse(self) -> None:
        """Shows the station's status, or that it cannot be had."""
        context = self._context
        try:
            status = context.station.status()
        except (AgentError, OSError) as error:
            log.error("console: status cannot be read: %s", error)
            self._mute.show(context.t("The station's state cannot be read right now."))
            return
        self._mute.show("")
        found = problems(status, context.t, context.f)
        self._troubles.show(
            Troubles(status.ready, found[0].text if found else None, max(0, len(found) - 1))
        )
        for show in self._watchers:
            show(status)

    async def first(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Fills the page before it is sent."""
        self._seen = self._context.station.revision
        await self._guarded(refresh)

    async def _guarded(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Runs refresh; shows what went wrong with the records, stays up and tries again."""
        try:
            await refresh()
        except STORE_FAULTS as error:
            if self._retry_at is None:
                log.error("console: records cannot be read: %s", error)
            self._retry_at = time.monotonic() + RETRY_S
            self._fault.show(self._context.t("The records cannot be read right now. Trying again…"))
        else:
            self._retry_at = None
            self._fault.show("")

    def _header(self) -> None:
        t, f, section = self._context.t, self._context.f, self._context.station.config.station
        now = datetime.now(UTC)
        with tag("header", classes="top"):
            with tag("a", classes="top-name", href="/"):
                tag("span", section.id, "top-id")
                tag("span", section.name, "top-station")
            with tag("nav", classes="top-nav", aria_label=t("Pages")):
                for path, sign, name in NAVIGATION:
                    current = "page" if path == self._path else None
                    with tag("a", href=path, aria_current=current):
                        icon(sign)
                        tag("span", t(name))
            with tag("div", classes="top-clock", title=section.timezone):
                self._day = ui.label(f.day(now)).classes("top-day")
                self._clock = ui.label(f.clock(now)).classes("top-time")
            with tag("div", classes="top-language", role="group", aria_label=t("Language")):
                for code, name in LANGUAGES.items():
                    chosen = "true" if code == t.language else None
                    tag("a", name, href=f"/language/{code}", aria_current=chosen, lang=code)

    def _fault_bar(self, text: str) -> None:
        if text:
            with tag("div", classes="fault", role="alert"):
                icon("error")
                tag("span", text)

    def _trouble_bar(self, troubles: Troubles) -> None:
        t = self._context.t
        # The health page begins with the same and names every problem.
        if self._path == HEALTH or (troubles.ready and troubles.first is None):
            return
        look = "less" if troubles.ready else "not-ready"
        with tag("a", classes=f"troubles {look}", href=HEALTH, role="status"):
            icon("warning")
            if not troubles.ready:
                tag("span", t("A truck arriving now would not be graded."))
            if troubles.first is not None:
                tag("strong", troubles.first)
            if troubles.more:
                tag("span", t("and {count} more", count=troubles.more), "troubles-more")
            tag("span", t("What to do"), "troubles-link")

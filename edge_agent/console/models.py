"""Models: which one grades, which one grades unseen, which came before, and what was done."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import Request
from nicegui import events, ui

from edge_agent.api.model_schemas import EventOut, ModelEntry, ModelsOut, ShadowOut, TrustOut
from edge_agent.api.models import models_out, take
from edge_agent.api.ports import STORE_FAULTS, StationPort
from edge_agent.console import parts, session
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import Region, icon, tag
from edge_agent.console.golden import golden_images
from edge_agent.console.page import MODELS, Context, Frame, context_of, in_thread
from edge_agent.errors import UpdateError
from edge_agent.records.ledger import Action, Role
from edge_agent.updates.delivery import MAX_BYTES

log = logging.getLogger(__name__)

_SHORT: Final = 12
_EVENTS: Final = 25


async def page(station: StationPort, request: Request) -> None:
    """Draws the page and keeps it fresh."""
    context = context_of(station, request)
    t = context.t
    user = session.engineer(station.users, request)
    with Frame(context, MODELS, t("Models")) as frame, tag("div", classes="stack"):
        session.bar(context, user, answer=request.query_params.get(session.ANSWER))
        shown = _Models(context, user)
        await frame.first(shown.refresh)
    frame.every_tick(shown.refresh)


class _Models:
    """The regions of the page, and what its buttons do."""

    def __init__(self, context: Context, user: session.LogIn | None) -> None:
        self._context = context
        self._user = user
        self._busy = False
        with tag("div", classes="halves"):
            self._active = Region[tuple[ModelEntry | None, ModelEntry | None, bool]](
                lambda v: self._show_active(*v), "panel model-now", "section"
            )
            self._shadow = Region[tuple[ShadowOut | None, ModelEntry | None]](
                lambda v: self._show_shadow(*v), "panel model-now", "section"
            )
        self._trust = Region[tuple[bool, TrustOut]](
            lambda v: self._show_trust(*v), "panel", "section"
        )
        if user is not None and context.station.config.model.updates is not None:
            self._upload_form()
        self._others = Region[tuple[ModelEntry, ...]](self._show_others, "panel", "section")
        self._events = Region[tuple[EventOut, ...]](self._show_events, "panel", "section")

    async def refresh(self) -> None:
        """Reads the models anew."""
        found: ModelsOut = await in_thread(models_out, self._context.station)
        by_digest = {model.digest: model for model in found.models}
        active = by_digest.get(found.active or "")
        before = next((model for model in found.models if model.earlier == 1), None)
        self._active.show((active, before, found.updates))
        candidate = by_digest.get(found.shadow.digest) if found.shadow else None
        self._shadow.show((found.shadow, candidate))
        self._trust.show((found.updates, found.trust))
        self._others.show(tuple(m for m in found.models if m.role is None))
        self._events.show(tuple(found.events[:_EVENTS]))

    # ---- regions

    def _show_active(
        self, model: ModelEntry | None, before: ModelEntry | None, updates: bool
    ) -> None:
        t, f = self._context.t, self._context.f
        _heading(t("Grades now"), "verified")
        if model is None:
            status = self._context.station.status().model
            if not status.loaded:
                tag("p", t("No model is loaded: trucks cannot be graded."), "trouble")
                parts.technical(self._context, status.detail)
            else:
                tag("div", f"{status.name} {status.version}", "model-name")
                tag("p", t("IT has put this model here; it cannot be changed over the network."))
            return
        tag("div", _name(model), "model-name")
        rows = [
            (t("Since"), f.moment(model.since)),
            (t("Digest"), model.digest[:_SHORT]),
            (t("Time a truck"), f.number(model.trial.latency_p95_ms, 1, t("ms"))),
        ]
        parts.definitions("", rows, "compact")
        golden_images(self._context, model)
        if before is not None and updates:
            self._button(
                t("Go back to {model}", model=_name(before)),
                "undo",
                "roll-back",
                partial(self._roll_back_to, before.digest),
                t("{model} grades again.", model=_name(before)),
            )

    def _show_shadow(self, shadow: ShadowOut | None, model: ModelEntry | None) -> None:
        t, f = self._context.t, self._context.f
        _heading(t("Grades unseen"), "visibility_off")
        if shadow is None or model is None:
            tag("p", t("No candidate. A pushed model can grade the same trucks unseen first."))
            return
        tag("div", _name(model), "model-name")
        graded = shadow.trucks - shadow.failed
        rows = [
            (t("Since"), f.moment(shadow.since)),
            (t("Digest"), model.digest[:_SHORT]),
            (t("Trucks"), f.number(shadow.trucks)),
            (t("Same grade"), f.percent(shadow.agreement) if graded else "–"),
            (t("Not sure"), f.number(shadow.doubtful)),
            (t("Failed"), f.number(shadow.failed)),
            (t("Time a truck"), _times(self._context, shadow.candidate_ms)),
            (t("The active model's"), _times(self._context, shadow.active_ms)),
        ]
        parts.definitions("", rows, "compact")
        if shadow.confusion:
            _confusion(self._context, shadow)
        if shadow.complete:
            tag("p", t("It has been watched long enough: decide."), "strong")
        golden_images(self._context, model)
        with tag("div", classes="buttons"):
            self._button(
                t("Let it grade"),
                "upgrade",
                "promote",
                partial(self._activate, model.digest),
                t("{model} grades from the next truck on.", model=_name(model)),
            )
            self._button(
                t("Stop watching it"),
                "close",
                "release",
                lambda: self._station.models.roles.release(self._actor),
                t("The candidate grades no more."),
                plain=True,
            )

    def _show_trust(self, updates: bool, trust: TrustOut) -> None:
        t, f = self._context.t, self._context.f
        _heading(t("Where models come from"), "key")
        if not updates:
            tag("p", t("A file on this PC (model.bundle in station.yaml)."))
            return
        rows = [
            (t("Repository"), trust.repository or t("none: models are pushed or uploaded")),
            (t("Last verified"), f.moment(trust.refreshed_at)),
            (t("Signed list valid until"), f.moment(trust.expires_at)),
        ]
        parts.definitions("", rows, "compact")
        if trust.problem:
            with tag("p", classes="trouble"):
                icon("warning")
                tag("span", t("The last attempt failed; the model that grades goes on."))
            parts.technical(self._context, trust.problem)

    def _show_others(self, models: tuple[ModelEntry, ...]) -> None:
        t, f = self._context.t, self._context.f
        _heading(t("Other models"), "inventory_2")
        if not models:
            tag("div", t("None yet."), "muted")
            return
        with tag("table", classes="cards"):
            heads = (t("Model"), t("Came"), t("State"), t("Golden images"), "")
            with tag("thead"), tag("tr"):
                for head in heads:
                    tag("th", head, scope="col")
            with tag("tbody"):
                for model in models:
                    with tag("tr", data_digest=model.digest):
                        with tag("td", data_label=heads[0]):
                            tag("strong", _name(model))
                            tag("div", model.digest[:_SHORT], "muted small")
                        tag("td", f.moment(model.added_at), data_label=heads[1])
                        with tag("td", data_label=heads[2]):
                            self._state(model)
                        with tag("td", data_label=heads[3]):
                            if model.on_disk:  # of a season's models they would fill the page
                                golden_images(self._context, model)
                        with tag("td", classes="right"):
                            usable = model.listed and model.fault is None and model.on_disk
                            if usable and self._station.config.model.updates is not None:
                                self._choice(model)

    def _state(self, model: ModelEntry) -> None:
        t = self._context.t
        if not model.listed:
            tag("span", t("Revoked: no longer signed for"), "bad")
        elif model.fault is not None:
            tag("span", t("Refused by the trial"), "bad")
            parts.technical(self._context, model.fault)
        elif not model.on_disk:
            tag("span", t("No longer on this PC: push it again"), "muted")
        elif model.earlier is not None:
            tag("span", t("Graded before"))
        else:
            tag("span", t("Ready"))

    def _choice(self, model: ModelEntry) -> None:
        t = self._context.t
        back = model.earlier is not None
        self._button(
            t("Go back to it") if back else t("Let it grade"),
            "undo" if back else "upgrade",
            f"choose-{model.digest[:_SHORT]}",
            partial(self._roll_back_to if back else self._activate, model.digest),
            t("{model} grades from the next truck on.", model=_name(model)),
            plain=True,
        )

    def _show_events(self, found: tuple[EventOut, ...]) -> None:
        t, f = self._context.t, self._context.f
        _heading(t("What was done"), "history")
        if not found:
            tag("div", t("Nothing yet."), "muted")
            return
        heads = (t("Time"), t("Who"), t("What"), t("Technical detail"))
        with tag("table", classes="cards events"):
            with tag("thead"), tag("tr"):
                for head in heads:
                    tag("th", head, scope="col")
            with tag("tbody"):
                for event in found:
                    with tag("tr", classes="" if event.ok else "bad-row"):
                        tag("td", f.moment(event.at), "number", data_label=heads[0])
                        who = t("the station itself") if event.actor == "station" else event.actor
                        tag("td", who, data_label=heads[1])
                        with tag("td", data_label=heads[2]), tag("div"):
                            icon("check" if event.ok else "block")
                            tag("span", t(words.MODEL_ACTIONS[event.action, event.ok]))
                        tag("td", event.detail, "technical", lang="en", data_label=heads[3])

    # ---- what the buttons do

    @property
    def _station(self) -> StationPort:
        return self._context.station

    @property
    def _actor(self) -> str:
        assert self._user is not None  # noqa: S101 - there are no buttons without
        if self._user.is_over:
            raise UpdateError(self._context.t("Your log-in is over. Log in again."))
        return self._user.name

    def _activate(self, digest: str) -> None:
        self._station.models.roles.activate(digest, self._actor)

    def _roll_back_to(self, digest: str) -> None:
        self._station.models.roles.activate(digest, self._actor, Action.ROLL_BACK)

    def _button(
        self,
        text: str,
        sign: str,
        name: str,
        what: Callable[[], object],
        done: str,
        *,
        plain: bool = False,
    ) -> None:
        """A button for engineers; one click does it, because going back is as quick."""
        if self._user is None:
            return
        look = "plain" if plain else "action"
        with tag("button", classes=f"{look} small", type="button", id=name) as button:
            icon(sign)
            tag("span", text)
        button.on("click", lambda: self._do(what, done))

    async def _do(self, what: Callable[[], object], done: str) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            with self._faults_told():
                await in_thread(what)
                ui.notify(done, type="positive")
        finally:
            self._busy = False

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        """Tells whoever clicked why it was not done."""
        try:
            yield
        except UpdateError as error:
            ui.notify(str(error), type="negative", timeout=15_000, multi_line=True)
        except (*STORE_FAULTS, OSError) as error:
            log.error("console: models not changed: %s", error)
            text = self._context.t("The records cannot be written: nothing was changed.")
            ui.notify(text, type="negative", timeout=10_000)

    def _upload_form(self) -> None:
        t = self._context.t
        with tag("section", classes="panel upload"):
            _heading(t("Bring a model on a stick"), "upload_file")
            tag("p", t("A delivery made by “cane-export push --out”. It is verified like a push."))
            ui.upload(
                label=t("Choose a delivery (.zip)"),
                auto_upload=True,
                max_file_size=MAX_BYTES,
                on_upload=self._uploaded,
                on_rejected=lambda: ui.notify(t("That file is too large."), type="negative"),
            ).props("accept=.zip flat bordered").classes("uploader")

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        t = self._context.t
        waiting = ui.notification(t("Verifying and trying the model…"), spinner=True, timeout=None)
        try:
            with self._faults_told():
                folder = self._station.models.uploads()
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    file = Path(place) / "delivery.zip"
                    await event.file.save(file)
                    receipt = await in_thread(take, self._station, file, self._actor, None)
                if not receipt.accepted:
                    ui.notify(t("The model was refused."), type="negative", timeout=10_000)
                elif receipt.digest is None:
                    ui.notify(t("The signed list was taken."), type="positive", timeout=10_000)
                elif receipt.role is Role.ACTIVE:
                    text = t("The model grades from the next truck on.")
                    ui.notify(text, type="positive", timeout=10_000)
                else:
                    text = t("The model passed; it grades unseen or lies ready.")
                    ui.notify(text, type="positive", timeout=10_000)
        finally:
            waiting.dismiss()


def _heading(text: str, sign: str) -> None:
    with tag("h2"), tag("span"):
        icon(sign)
        tag("span", f" {text}")


def _name(model: ModelEntry) -> str:
    return f"{model.name or model.target} {model.version or ''}".strip()


def _times(context: Context, times: tuple[float, float] | None) -> str:
    return "–" if times is None else context.f.number(times[1], 1, context.t("ms"))


def _confusion(context: Context, shadow: ShadowOut) -> None:
    """Which grades the two gave where they differ, most often first."""
    t, f = context.t, context.f
    differ = sorted((n, a, c) for a, c, n in shadow.confusion if a != c)[::-1]
    if not differ:
        return
    with tag("table", classes="confusion"):
        with tag("thead"), tag("tr"):
            for head in (t("The active model"), t("The candidate"), t("Trucks")):
                tag("th", head, scope="col")
        with tag("tbody"):
            for count, active, candidate in differ:
                with tag("tr"):
                    tag("td", words.grade_name(t, active))
                    tag("td", words.grade_name(t, candidate))
                    tag("td", f.number(count), "number")

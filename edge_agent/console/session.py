"""Logging in and out of the console, for those who may change models."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from nicegui import app as pages

from edge_agent.access import Users
from edge_agent.console.elements import icon, tag
from edge_agent.console.page import Context, in_thread
from edge_agent.console.texts import N_
from edge_agent.errors import TooManyGuessesError

LOG_IN: Final = "/log-in"
LOG_OUT: Final = "/log-out"
BACK: Final = "/models"
ANSWER: Final = "log-in"
"""In the query of the page that a log-in leads back to: why there was none."""
FAILED: Final = "failed"
BUSY: Final = "busy"
_TROUBLES: Final = {
    FAILED: N_("The user name or the password is wrong."),
    BUSY: N_("Several others are logging in. Try again in a moment."),
}

_HOURS: Final = 12.0
"""A log-in lasts for a shift."""


def add_routes(users: Users) -> None:
    """The addresses that the forms send to."""

    async def log_in(request: Request) -> Response:
        form = await request.form()
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        try:
            user = await in_thread(users.check, name, password)
        except TooManyGuessesError:
            return RedirectResponse(f"{BACK}?{ANSWER}={BUSY}", 303)
        if user is None:
            return RedirectResponse(f"{BACK}?{ANSWER}={FAILED}", 303)
        request.session["user"] = user.name
        request.session["user_since"] = time.time()
        request.session["user_mark"] = users.password_mark(user.name)
        return RedirectResponse(BACK, 303)

    def log_out(request: Request) -> Response:
        request.session.pop("user", None)
        return RedirectResponse(BACK, 303)

    pages.add_api_route(LOG_IN, log_in, methods=["POST"], include_in_schema=False)
    pages.add_api_route(LOG_OUT, log_out, methods=["POST"], include_in_schema=False)


@dataclass(frozen=True)
class LogIn:
    """An engineer at a browser, until the shift is over."""

    name: str
    until: float

    @property
    def is_over(self) -> bool:
        """Also on a page that has stayed open."""
        return time.time() >= self.until


def engineer(users: Users, request: Request) -> LogIn | None:
    """The engineer at this browser; None if nobody is logged in, or not any more."""
    name, since = request.session.get("user"), request.session.get("user_since")
    if not isinstance(name, str) or not isinstance(since, int | float):
        return None
    found = LogIn(name, float(since) + _HOURS * 3600)
    # Who was taken out of station.yaml, or has a new password there, is nobody, whatever the cookie
    # says.
    mark = users.password_mark(name)
    known = mark is not None and mark == request.session.get("user_mark")
    return found if known and not found.is_over else None


def bar(context: Context, user: LogIn | None, *, answer: str | None) -> None:
    """Who is logged in, or the form to log in with. answer: the query's ANSWER."""
    t = context.t
    with tag("section", classes="panel log-in"):
        if user is not None:
            icon("person")
            tag("span", t("Logged in as {name}", name=user.name), "strong")
            with tag("form", method="post", action=LOG_OUT):
                tag("button", t("Log out"), "plain", type="submit")
        elif not context.station.users:
            icon("lock")
            tag("span", t("Nobody may change models here yet. Have IT add an engineer."))
        else:
            icon("lock")
            tag("span", t("Engineers log in to change models:"))
            with tag("form", method="post", action=LOG_IN):
                _field(t("User name"), "name", "text", "username")
                _field(t("Password"), "password", "password", "current-password")
                tag("button", t("Log in"), "action small", type="submit", id="log-in")
            if trouble := _TROUBLES.get(answer or ""):
                with tag("span", classes="trouble", role="alert"):
                    icon("error")
                    tag("span", t(trouble))


def _field(label: str, name: str, kind: str, autocomplete: str) -> None:
    with tag("label"):
        tag("span", label)
        tag(
            "input", name=name, type=kind, required=True, autocomplete=autocomplete, maxlength="128"
        )

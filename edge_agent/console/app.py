"""Mounting the console on the API's app."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from nicegui import app as pages
from nicegui import ui
from nicegui.translations import translations

from edge_agent.api.ports import StationPort
from edge_agent.console import health, live, missing, models, session, truck, trucks
from edge_agent.console.page import MODELS, TICK_S
from edge_agent.console.present import ScaleWatch
from edge_agent.console.texts import LANGUAGES, Texts
from edge_agent.errors import AgentError, ConfigError

ASSETS: Final = Path(__file__).parent / "assets"
SECRET_FILE: Final = "console.secret"  # noqa: S105 - a file name

_YEAR_S: Final = 365 * 24 * 3600
_PAGE_TIMEOUT_S: Final = 15.0
"""Above SQLite's busy timeout, so that a slow disk gives a late page and not an error page."""


def mount(app: FastAPI, station: StationPort) -> None:
    """Puts the console's pages on the app. Once a process: NiceGUI keeps them in one place.

    Raises ConfigError if the secret that signs cookies cannot be kept in the data folder.
    """
    secret = session_secret(station.config.data_dir / SECRET_FILE)
    translations["th"] = _connection_texts()
    style = ASSETS / "console.css"
    # The address changes with the content, so browsers may keep it for ever.
    digest = hashlib.sha256(style.read_bytes()).hexdigest()[:12]
    pages.add_static_files("/assets", ASSETS)
    ui.add_head_html(
        f'<link rel="stylesheet" href="/assets/console.css?v={digest}">'
        '<meta name="referrer" content="same-origin">',
        shared=True,
    )
    _add_pages(station, _watch(station))

    async def no_such_page(request: Request) -> None:
        await missing.page(station, request)

    pages.add_api_route("/language/{code}", choose_language, include_in_schema=False)
    ui.run_with(
        app,
        root=no_such_page,
        title=station.config.station.name,
        favicon=ASSETS / "favicon.svg",
        language="en-GB",
        dark=False,
        tailwind=False,
        storage_secret=secret,
        session_middleware_kwargs={"max_age": _YEAR_S, "same_site": "lax"},
        show_welcome_message=False,
        reconnect_timeout=10.0,
    )


def choose_language(code: str, request: Request) -> Response:
    """Keeps the language in this browser's cookie and leads back to the page."""
    if code not in LANGUAGES:
        raise HTTPException(404)
    request.session["language"] = code
    came_from = urlsplit(request.headers.get("referer", ""))
    own = came_from.netloc == request.headers.get("host")
    path = "/" + came_from.path.lstrip("/") if own else "/"
    query = f"?{came_from.query}" if own and came_from.query else ""
    return RedirectResponse(path + query, 303)


def session_secret(file: Path) -> str:
    """The secret that signs the console's cookies; made at first, readable by the agent only.

    Raises ConfigError if it can be neither read nor made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            kept = file.read_text(encoding="ascii").strip()
            if len(kept) >= 32:
                return kept
            # Cut short by a crash while it was made; nobody can hold a cookie from it.
            file.unlink()
            return session_secret(file)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            secret = secrets.token_urlsafe(48)
            out.write(secret)
            out.flush()
            os.fsync(out.fileno())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"console secret {file}: cannot be read or made ({error}); "
            "make data_dir writable for the agent"
        ) from error
    return secret


def _add_pages(station: StationPort, watch: ScaleWatch) -> None:
    session.add_routes(station.users)

    @ui.page("/", response_timeout=_PAGE_TIMEOUT_S)
    async def live_page(request: Request) -> None:
        await live.page(station, watch, request)

    @ui.page("/trucks", response_timeout=_PAGE_TIMEOUT_S)
    async def trucks_page(request: Request) -> None:
        await trucks.page(station, request)

    @ui.page("/trucks/{arrival_id}", response_timeout=_PAGE_TIMEOUT_S)
    async def truck_page(arrival_id: str, request: Request) -> None:
        await truck.page(station, arrival_id, request)

    @ui.page(MODELS, response_timeout=_PAGE_TIMEOUT_S)
    async def models_page(request: Request) -> None:
        await models.page(station, request)

    @ui.page("/health", response_timeout=_PAGE_TIMEOUT_S)
    async def health_page(request: Request) -> None:
        await health.page(station, request)


def _watch(station: StationPort) -> ScaleWatch:
    """Follows the scale also while no page is open."""
    watch = ScaleWatch(station.status().started_at)

    def look() -> None:
        # A page that is open says when the state cannot be read.
        with contextlib.suppress(AgentError, OSError):
            watch.see(station.status().scale, datetime.now(UTC))

    pages.timer(TICK_S, look)
    return watch


def _connection_texts() -> dict[str, str]:
    """NiceGUI's own messages, which it lacks in Thai."""
    t = Texts("th")
    return {
        "connection_lost": t("Connection lost."),
        "trying_to_reconnect": t("Trying to reconnect…"),
        "message_too_long": t("Message too long"),
        "message_too_long_body": t("The message is too large to be sent."),
    }

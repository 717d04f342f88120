"""Middleware that stops requests before any route sees them: for foreign host names, cross-site
ones, and large bodies."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_agent.api.errors import error_response

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 16 * 1024
"""Far above any ticket; keeps a runaway client from filling the memory."""

_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def is_cross_site(headers: Headers, scheme: str) -> bool:
    """Whether a browser sent this request from a page of another origin.

    Programs that are no browser send neither Sec-Fetch-Site nor Origin and pass. Sec-Fetch-Site
    is the browser's own judgement and holds behind proxies too; older browsers, and pages that
    were loaded without TLS, leave only Origin to compare with Host.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    ours = _authority(f"{scheme}://{headers.get('host', '')}")
    # Sandboxed pages send "null", which has no authority and is nobody's own origin.
    return ours is None or _authority(origin) != ours


def is_own_host(host: str, names: frozenset[str]) -> bool:
    """Whether the Host header of a request (RFC 9110 section 7.2) means this station.

    An address does, whichever it is; a name does if it is localhost or one of `names`. Any other
    name may belong to a page that had its own name resolved to this station (DNS rebinding), so
    that the browser takes both for one site.
    """
    authority = _authority(f"http://{host}")
    if authority is None:
        return False
    name = authority[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name in names
    return True


class HostGuard:
    """Refuses requests for host names that are not this station's."""

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        """names: those that IT gave the station; this machine's own name is added."""
        self.app = app
        self._names = frozenset(name.lower() for name in (*names, socket.gethostname()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on or answers 421."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")
        if is_own_host(host, self._names):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "unknown host"})
        else:
            response = error_response(
                421,
                "unknown_host",
                f"{host[:100]!r} is not a name of this station; if it is, add it to "
                "http.names in station.yaml",
            )
            await response(scope, receive, send)


class CrossSiteGuard:
    """Refuses cross-site requests that change something, and cross-site WebSockets."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on or answers 403."""
        guarded = scope["type"] == "websocket" or (
            scope["type"] == "http" and scope["method"] not in _SAFE_METHODS
        )
        if not guarded or not is_cross_site(Headers(scope=scope), scope["scheme"]):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "cross-site"})
        else:
            response = error_response(
                403,
                "cross_site",
                f"{scope['method']} {scope['path']}: refused, because it comes from a web page of "
                "another site; call the API from a program or from the station's own console",
            )
            await response(scope, receive, send)


class BodyLimit:
    """Refuses requests whose body is larger than MAX_BODY_BYTES, or than their path may have."""

    def __init__(self, app: ASGIApp, streamed: Mapping[str, int]) -> None:
        """streamed: beginnings of paths whose route reads its body piece by piece, and the most
        bytes that it may have."""
        self.app = app
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on or answers 413."""
        if scope["type"] != "http" or scope["method"] in _SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        streamed = next((n for s, n in self._streamed.items() if path.startswith(s)), None)
        limit = MAX_BODY_BYTES if streamed is None else streamed
        declared = Headers(scope=scope).get("content-length", "")
        # A chunked body has no declared length: it is read ahead of the route, or counted as it is.
        if declared.isdigit() and int(declared) > limit:
            await _too_large(scope, limit)(scope, receive, send)
        elif streamed is None:
            await self._read_ahead(scope, receive, send)
        else:
            await self._counted(scope, receive, send, limit)

    async def _read_ahead(self, scope: Scope, receive: Receive, send: Send) -> None:
        chunks: list[Message] = []
        size = 0
        while True:
            message = await receive()
            chunks.append(message)
            size += len(message.get("body", b""))
            if size > MAX_BODY_BYTES:
                await _too_large(scope, MAX_BODY_BYTES)(scope, receive, send)
                return
            if message["type"] != "http.request" or not message.get("more_body", False):
                break

        async def replay() -> Message:
            return chunks.pop(0) if chunks else await receive()

        await self.app(scope, replay, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Lets the route read so many bytes. Beyond, it is told that the sender has gone, and what
        it makes of that is not sent: an exception would come back in as many ways as there are
        apps and middlewares below."""
        size = 0
        answered = False

        async def counting() -> Message:
            nonlocal size
            message = {"type": "http.disconnect"} if size > limit else await receive()
            size += len(message.get("body", b""))
            return {"type": "http.disconnect"} if size > limit else message

        async def unless_too_large(message: Message) -> None:
            nonlocal answered
            if size <= limit or answered:
                answered = True
                await send(message)

        try:
            await self.app(scope, counting, unless_too_large)
        except Exception:
            if size <= limit:
                raise
            log.info("%s %s: ended within a body that is too large", scope["method"], scope["path"])
        if size > limit and not answered:
            await _too_large(scope, limit)(scope, receive, send)


def _too_large(scope: Scope, limit: int) -> Response:
    return error_response(
        413,
        "too_large",
        f"{scope['method']} {scope['path']}: the body is larger than {limit} bytes; send one truck "
        "or one model a request",
        {"Connection": "close"},
    )


def _authority(url: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname.lower(), port) if parts.hostname else None

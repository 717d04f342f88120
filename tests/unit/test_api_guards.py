"""The limit on bodies that a route reads piece by piece, over real HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from serving import Serving
from starlette.middleware.base import BaseHTTPMiddleware

from edge_agent.api import errors, guards

LIMIT = 1000


async def length(request: Request) -> int:
    return sum([len(chunk) async for chunk in request.stream()])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(guards.BodyLimit, streamed={"/stream": LIMIT})
    app.post("/stream/a")(length)
    # As the console's pages are: an app of its own below, with middleware that reads in tasks.
    pages = FastAPI()
    pages.add_middleware(BaseHTTPMiddleware, dispatch=lambda request, call: call(request))
    pages.post("/a")(length)
    app.mount("/stream/pages", pages)
    with Serving(app) as served:
        yield served.url


@pytest.mark.parametrize("path", ["/stream/a", "/stream/pages/a"])
@pytest.mark.parametrize("size", [0, LIMIT])
@pytest.mark.parametrize("chunked", [False, True])
def test_as_much_as_is_allowed_is_read(url: str, path: str, size: int, chunked: bool) -> None:
    body = b"x" * size
    answer = httpx.post(url + path, content=iter([body]) if chunked else body)
    assert (answer.status_code, answer.json()) == (200, size)


@pytest.mark.parametrize("path", ["/stream/a", "/stream/pages/a"])
def test_a_body_that_grows_is_let_go_of(url: str, path: str) -> None:
    answer = httpx.post(url + path, content=(b"x" * 100 for _ in range(11)))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert answer.headers["connection"] == "close"


def test_a_body_that_is_announced_too_large_is_not_read(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10.0)
    connection.putrequest("POST", "/stream/a")
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()

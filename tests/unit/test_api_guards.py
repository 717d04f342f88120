"""The limit on bodies that a route reads piece by piece, over real HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from serving import Serving

from edge_agent.api import errors, guards

LIMIT = 1000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(guards.BodyLimit, streamed={"/stream": LIMIT})

    @app.post("/stream/{rest:path}")
    async def stream(request: Request) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    with Serving(app) as served:
        yield served.url


@pytest.mark.parametrize("size", [0, LIMIT])
@pytest.mark.parametrize("chunked", [False, True])
def test_as_much_as_is_allowed_is_read(url: str, size: int, chunked: bool) -> None:
    body = b"x" * size
    answer = httpx.post(f"{url}/stream/a", content=iter([body]) if chunked else body)
    assert (answer.status_code, answer.json()) == (200, size)


def test_a_body_that_grows_is_let_go_of(url: str) -> None:
    answer = httpx.post(f"{url}/stream/a", content=(b"x" * 100 for _ in range(11)))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_a_body_that_is_announced_too_large_is_not_read(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10.0)
    connection.putrequest("POST", "/stream/a")
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()

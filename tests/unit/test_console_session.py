"""How long a log-in on the console lasts."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from edge_agent import access
from edge_agent.access import Users, hash_password
from edge_agent.config import AccessSection
from edge_agent.console import session

FIRST, SECOND = hash_password("the first password"), hash_password("the first password")
HOUR = 3600.0


def users(**hashes: str) -> Users:
    entries = [{"name": n, "role": "engineer", "password_hash": h} for n, h in hashes.items()]
    return Users(AccessSection.model_validate({"users": entries}))


def browser(**cookie: Any) -> Request:
    return Request({"type": "http", "session": cookie})


def cookie(hours_ago: float = 0.0) -> dict[str, Any]:
    """As it is set when somebody with the first password logs in."""
    mark = users(somchai=FIRST).password_mark("somchai")
    return {"user": "somchai", "user_since": time.time() - hours_ago * HOUR, "user_mark": mark}


def test_a_log_in_lasts_for_a_shift() -> None:
    found = session.engineer(users(somchai=FIRST, malee=SECOND), browser(**cookie(11.9)))
    assert found is not None
    assert (found.name, found.is_over) == ("somchai", False)
    assert session.engineer(users(somchai=FIRST), browser(**cookie(12.1))) is None


@pytest.mark.parametrize(
    "now",
    [
        {},
        {"malee": FIRST},
        # Made anew by IT, be it from the same password.
        {"somchai": SECOND},
    ],
)
def test_it_ends_with_the_user_or_the_password(now: dict[str, str]) -> None:
    assert session.engineer(users(**now), browser(**cookie())) is None


@pytest.mark.parametrize("name", ["user", "user_since", "user_mark"])
@pytest.mark.parametrize("value", [None, "", "x", 3, []])
def test_a_cookie_of_another_making_is_nobody(name: str, value: object) -> None:
    given = cookie() | {name: value}
    assert session.engineer(users(somchai=FIRST), browser(**given)) is None


def form(name: str, password: str) -> Request:
    body = urlencode({"name": name, "password": password}).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    kind = (b"content-type", b"application/x-www-form-urlencoded")
    return Request({"type": "http", "method": "POST", "headers": [kind], "session": {}}, receive)


def test_who_finds_several_others_logging_in_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_AFTER_WRONG_S", 0.05)
    routes = FastAPI()
    monkeypatch.setattr(session, "pages", routes)
    session.add_routes(users(somchai=FIRST))
    (log_in,) = [r.endpoint for r in routes.routes if getattr(r, "path", "") == session.LOG_IN]
    answers: list[str] = []

    async def guess() -> None:
        answer: Response = await log_in(form("somchai", "a guess"))
        answers.append(answer.headers["location"].rpartition("=")[2])

    async def five_at_once() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(guess)

    anyio.run(five_at_once)
    assert sorted(answers) == [session.BUSY, *[session.FAILED] * 4]

"""Names and passwords over real HTTP: in the station's own language, and what is none."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from serving import Serving

from edge_agent.access import Users, hash_password
from edge_agent.api import errors
from edge_agent.api.login import Credentials, require_engineer
from edge_agent.config import AccessSection, UserSection

PASSWORD = "อ้อยสด:2569"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    user = UserSection(name="engineer", role="engineer", password_hash=hash_password(PASSWORD))
    users = Users(AccessSection(users=(user,)))
    app = FastAPI()
    errors.install(app)

    @app.get("/who")
    def who(credentials: Credentials) -> str:
        return require_engineer(users, credentials)

    with Serving(app) as served:
        yield served.url + "/who"


def test_a_password_is_in_any_language(url: str) -> None:
    answer = httpx.get(url, auth=("engineer", PASSWORD))
    assert (answer.status_code, answer.json()) == (200, "engineer")


def test_a_wrong_one_is_told_so(url: str) -> None:
    answer = httpx.get(url, auth=("engineer", PASSWORD + "ๆ"))
    assert answer.status_code == 401
    assert "wrong" in answer.json()["error"]["message"]


def pair(content: bytes) -> str:
    return "Basic " + base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "sent",
    [
        "Basic",
        "Basic ?",
        "Basic YQ",
        pair(b"engineer"),
        pair(b"engineer:\xff\xfe"),
        "Bearer abc",
    ],
)
def test_what_cannot_be_read_is_answered_as_nothing_sent(url: str, sent: str) -> None:
    answer = httpx.get(url, headers={"Authorization": sent})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "log_in"
    assert "are needed" in answer.json()["error"]["message"]
    assert 'charset="UTF-8"' in answer.headers["WWW-Authenticate"]

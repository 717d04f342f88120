"""Who sends a request: HTTP Basic authentication (RFC 7617) against the station's users."""

from __future__ import annotations

import base64
from typing import Annotated, Final

from fastapi import Depends
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from edge_agent.access import Users
from edge_agent.api.errors import ApiError
from edge_agent.errors import TooManyGuessesError


class _Basic(HTTPBasic):
    """Reads names and passwords as UTF-8, which the answer 401 asks for (RFC 7617 section 2.1).

    The base class takes ASCII alone, and nobody with a Thai password could log in. What is not
    to be read counts as nothing sent.
    """

    async def __call__(  # type: ignore[override]  # as the base class has it too
        self, request: HTTPConnection
    ) -> HTTPBasicCredentials | None:
        scheme, sent = get_authorization_scheme_param(request.headers.get("Authorization"))
        if scheme.lower() != "basic":
            return None
        try:
            pair = base64.b64decode(sent).decode()
        except ValueError:  # of the alphabet, the padding or the encoding
            return None
        name, colon, password = pair.partition(":")
        return HTTPBasicCredentials(username=name, password=password) if colon else None


_BASIC: Final = _Basic(auto_error=False, realm="CaneGrade station", scheme_name="HTTPBasic")

Credentials = Annotated[HTTPBasicCredentials | None, Depends(_BASIC)]


def require_engineer(users: Users, credentials: HTTPBasicCredentials | None) -> str:
    """The name of the engineer who asks. Blocks. Raises ApiError 401, 403 or 429."""
    if not users:
        raise ApiError(
            403,
            "no_engineers",
            "nobody may change models here: add an engineer under access.users in station.yaml "
            "(edge-agent password makes the hash)",
        )
    try:
        user = users.check(credentials.username, credentials.password) if credentials else None
    except TooManyGuessesError as error:
        raise ApiError(429, "too_many_log_ins", str(error), {"Retry-After": "5"}) from error
    if user is None:
        raise ApiError(
            401,
            "log_in",
            "user name and password of an engineer of this station are needed (HTTP Basic)"
            if credentials is None
            else "the user name or the password is wrong",
            {"WWW-Authenticate": 'Basic realm="CaneGrade station", charset="UTF-8"'},
        )
    return user.name

"""Who sends a request: HTTP Basic authentication (RFC 7617) against the station's users."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from edge_agent.access import Users
from edge_agent.api.errors import ApiError
from edge_agent.errors import TooManyGuessesError

_BASIC: Final = HTTPBasic(auto_error=False, realm="CaneGrade station")

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

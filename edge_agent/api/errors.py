"""One JSON shape for every error: {"error": {"code": ..., "message": ...}}.

The message says what failed, on what, and what to do about it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from edge_agent.api import examples
from edge_agent.api.ports import STORE_FAULTS
from edge_agent.errors import DeliveryError, TrustError, UpdateError

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 5


class ErrorDetail(BaseModel):
    """What failed."""

    code: str = Field(description="For programs; does not change between versions.")
    message: str = Field(description="For people: what failed, on what, and what to do.")


class ErrorBody(BaseModel):
    """Body of every response with a status of 400 or above."""

    error: ErrorDetail


class ApiError(Exception):
    """An error to be answered with its status, code and message."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The response of that error."""
    body = ErrorBody(error=ErrorDetail(code=code, message=message))
    return JSONResponse(body.model_dump(), status, headers)


def documented(
    *statuses: int, also: Mapping[int, dict[str, Any]] | None = None
) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the error statuses a route may answer, and for others as given."""
    entries: dict[int | str, dict[str, Any]] = dict((also or {}).items())
    for status in statuses:
        entries[status] = {
            "model": ErrorBody,
            "description": _MEANING[status],
            "content": {"application/json": {"example": examples.ERRORS[status]}},
        }
    return entries


def install(app: FastAPI) -> None:
    """Makes every error of the app take the one shape."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(UpdateError, _on_update_error)
    for fault in STORE_FAULTS:
        app.add_exception_handler(fault, _on_store_fault)
    app.add_exception_handler(Exception, _on_unexpected)


_MEANING: Final = {
    401: "User name and password are needed, or wrong.",
    403: "Nobody may do that here.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "The request contradicts what is recorded.",
    410: "The evidence file has been removed.",
    413: "The body is too large.",
    422: "The request is not well-formed.",
    429: "Too many log-ins at once.",
    500: "An unexpected fault; see the agent's log.",
    503: "Records cannot be read or written right now; try again.",
}

_HTTP: Final = {
    404: ("not_found", "{path}: no such address; see /openapi.json for those there are"),
    405: ("method_not_allowed", "{method} {path}: this address does not take that method"),
}


def _on_api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - narrows the type
    return error_response(error.status, error.code, error.message, error.headers)


def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - narrows the type
    faults = error.errors()
    first = faults[0]
    # The first part of `loc` says body, query or path; the rest names the field.
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    if first["type"] == "json_invalid":
        where, message = "body", "must be JSON"
    elif first["type"] == "extra_forbidden":
        message = "unknown field; remove it or mend its spelling"
    else:
        message = first["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return error_response(422, "invalid", f"{where}: {message}{more}")


def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - narrows the type
    code, message = _HTTP.get(error.status_code, ("http_error", str(error.detail)))
    text = message.format(path=request.url.path, method=request.method)
    return error_response(error.status_code, code, text, error.headers)


def _on_update_error(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, TrustError):
        return error_response(422, "not_trusted", str(error))
    if isinstance(error, DeliveryError):
        return error_response(422, "broken_delivery", str(error))
    return error_response(409, "model_refused", str(error))


def _on_store_fault(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s: %s", request.method, request.url.path, error)
    return error_response(
        503,
        "records_unavailable",
        f"the station's records cannot be used right now ({type(error).__name__}); "
        "try again, and check the data disk if this stays",
        {"Retry-After": str(RETRY_AFTER_S)},
    )


def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    # Starlette raises the error again after this response, so the server logs its traceback.
    return error_response(
        500,
        "internal",
        f"{request.method} {request.url.path}: an unexpected fault; see the agent's log",
    )

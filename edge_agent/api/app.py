"""The FastAPI app of one station. Starting and stopping the station is the caller's business."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import iter_route_contexts

from edge_agent import __version__
from edge_agent.api import arrivals, errors, evidence, examples, guards, health, metrics, models
from edge_agent.api.ports import StationPort
from edge_agent.updates.delivery import MAX_BYTES

_DESCRIPTION: Final = """
Grading of sugarcane trucks at one weighbridge station.

Announce a truck with `POST /api/v1/arrivals` while it stands on the scale, then read its grade
from the address in `Location`, with `?wait=10` to be answered as soon as there is an outcome.
Every accepted truck ends with an outcome: graded, or refused with a reason.

All times are UTC. Every error has the same shape: `{"error": {"code": ..., "message": ...}}`.
"""

_PAGES: Final = "/_nicegui/"
"""Uploads on the console: only an engineer's page has an address for one. A form's frame comes on
top of the file."""

_TAGS: Final = [
    {"name": "arrivals", "description": "Trucks, their grades and the evidence."},
    {"name": "models", "description": "Which models there are and which one grades."},
    {"name": "station", "description": "How the station is, in full."},
    {"name": "health", "description": "For orchestrators and monitoring."},
]


def create_app(station: StationPort) -> FastAPI:
    """The API of that station; edge_agent.console.mount adds the console to it."""
    app = _App(
        title="CaneGrade station API",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        # Their pages would fetch scripts from another host, which a station cannot reach.
        docs_url=None,
        redoc_url=None,
    )
    errors.install(app)
    app.add_middleware(
        guards.BodyLimit,
        streamed={models.DELIVERIES: MAX_BYTES, _PAGES: MAX_BYTES + guards.MAX_BODY_BYTES},
    )
    app.add_middleware(guards.CrossSiteGuard)
    app.add_middleware(guards.HostGuard, names=station.config.http.names)
    v1 = APIRouter(prefix="/api/v1")
    v1.include_router(arrivals.create_router(station))
    v1.include_router(evidence.create_router(station))
    v1.include_router(models.create_router(station))
    v1.include_router(health.create_station_router(station))
    app.include_router(v1)
    app.include_router(health.create_health_router(station))
    app.include_router(metrics.create_router(station))
    app.add_api_route(
        "/api/{path:path}",
        _no_such_address,
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        include_in_schema=False,
    )
    # Else each is built when it is first asked for, by whichever thread serves it, and that waits.
    for _ in iter_route_contexts(app.routes):
        pass
    return app


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description, with examples of its schemas."""
        document = super().openapi()
        # Given with the models, they would lose their nulls: FastAPI leaves out what is None.
        for name, given in examples.SCHEMAS.items():
            document["components"]["schemas"][name]["examples"] = given
        return document


def _no_such_address(request: Request, path: str) -> None:
    """Else the console, mounted at /, would answer programs with a page."""
    raise errors.ApiError(
        404,
        "not_found",
        f"{request.method} {request.url.path}: no such address; see /openapi.json",
    )

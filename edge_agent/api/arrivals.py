"""/api/v1/arrivals: announcing trucks and reading what became of them."""

from __future__ import annotations

import functools
import time
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from edge_agent.api.errors import ApiError, documented
from edge_agent.api.ports import StationPort
from edge_agent.api.schemas import (
    Announcement,
    ArrivalOut,
    ArrivalPage,
    Moment,
    State,
    arrival_out,
)
from edge_agent.grades import Grade
from edge_agent.records import store as records
from edge_agent.records.models import Arrival

MAX_WAIT_S: Final = 30.0

_WAIT_SLICE_S: Final = 2.0
"""A waiting thread looks up this often, so that a shutdown is not held up by its clients."""

_MAX_WAITING: Final = 64
"""Waiting clients have threads of their own and cannot starve the others."""

ArrivalId = Annotated[str, Path(max_length=36, description="The arrival's `id`.")]


def create_router(station: StationPort) -> APIRouter:
    """The routes, on that station."""
    router = APIRouter(prefix="/arrivals", tags=["arrivals"])
    waiting = anyio.CapacityLimiter(_MAX_WAITING)

    @router.post(
        "",
        status_code=201,
        response_model=ArrivalOut,
        responses=documented(
            409,
            422,
            503,
            also={200: {"model": ArrivalOut, "description": "The ticket is known already."}},
        ),
    )
    def announce(body: Announcement, request: Request, response: Response) -> ArrivalOut:
        """Announces the truck that stands on the scale now.

        Answers once the arrival is committed, so an accepted truck survives a power cut; its
        grade follows (`GET` the address in Location, with `wait`). Safe to repeat: a known ticket
        answers 200 with the arrival as it is. The same ticket with another plate or province is
        refused with 409.
        """
        arrival, new = station.announce(source="ticket", **body.model_dump(exclude_none=True))
        if not new:
            _refuse_contradiction(body, arrival)
            response.status_code = 200
        response.headers["Location"] = f"{request.url.path}/{arrival.id}"
        return arrival_out(arrival)

    @router.get("", response_model=ArrivalPage, responses=documented(422, 503))
    def list_arrivals(
        grade: Annotated[Grade | None, Query(description="Only this grade.")] = None,
        outcome: Annotated[
            State | None, Query(description="Only these; needs_person is a part of graded.")
        ] = None,
        text: Annotated[
            str | None, Query(max_length=64, description="Part of a ticket or plate.")
        ] = None,
        since: Annotated[
            Moment | None, Query(description="Instant not before; with a time zone.")
        ] = None,
        until: Annotated[
            Moment | None, Query(description="Instant before; with a time zone.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    ) -> ArrivalPage:
        """Lists arrivals, newest first, a page at a time."""
        query = records.Query(
            grade=grade, outcome=outcome, text=text or None, since=since, until=until
        )
        found = station.store.find(query, limit=limit, offset=offset)
        return ArrivalPage(
            total=station.store.count(query),
            limit=limit,
            offset=offset,
            items=[arrival_out(arrival) for arrival in found],
        )

    @router.get("/{arrival_id}", response_model=ArrivalOut, responses=documented(404, 422, 503))
    async def get_arrival(
        arrival_id: ArrivalId,
        wait: Annotated[
            float,
            Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the outcome, if open."),
        ] = 0.0,
    ) -> ArrivalOut:
        """One arrival. With `wait`, answers as soon as it has an outcome or the time is over."""
        arrival = await anyio.to_thread.run_sync(require_arrival, station, arrival_id)
        deadline = time.monotonic() + wait
        while arrival.grading is None and (left := deadline - time.monotonic()) > 0:
            wait_once = functools.partial(station.wait_for, arrival_id, min(left, _WAIT_SLICE_S))
            done = await anyio.to_thread.run_sync(wait_once, limiter=waiting)
            arrival = done or arrival
        return arrival_out(arrival)

    return router


def require_arrival(station: StationPort, arrival_id: str) -> Arrival:
    """The arrival. Raises ApiError 404 if there is none."""
    arrival = station.store.get(arrival_id)
    if arrival is None:
        raise ApiError(
            404, "no_such_arrival", f"arrival {arrival_id}: not known here; list GET /arrivals"
        )
    return arrival


def _refuse_contradiction(body: Announcement, known: Arrival) -> None:
    for field in ("plate", "province"):
        given, recorded = getattr(body, field), getattr(known, field)
        if given is not None and recorded is not None and given != recorded:
            raise ApiError(
                409,
                "ticket_conflict",
                f"ticket {body.ticket}: already recorded with {field} {recorded}, not {given}; "
                "announce another truck with its own ticket",
                {"Location": f"/api/v1/arrivals/{known.id}"},
            )

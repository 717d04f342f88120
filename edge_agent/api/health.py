"""How the station is: /api/v1/station for people's programs, /health for orchestrators."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from edge_agent.api import examples
from edge_agent.api.ports import StationPort
from edge_agent.status import StationStatus


class Live(BaseModel):
    """The agent's process answers."""

    status: str = "live"


class Ready(BaseModel):
    """Whether a truck arriving now would be graded."""

    ready: bool
    problems: list[str] = Field(description="One plain sentence for each thing that is not well.")


def create_station_router(station: StationPort) -> APIRouter:
    """GET /station."""
    router = APIRouter(prefix="/station", tags=["station"])

    @router.get("", response_model=StationStatus)
    def get_station() -> StationStatus:
        """The cameras, the scale, the model, the queue and the disk, as they are now."""
        return station.status()

    return router


def create_health_router(station: StationPort) -> APIRouter:
    """GET /health/live and GET /health/ready."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", response_model=Live)
    async def live() -> Live:
        """Answers 200 as long as the process runs. Restart the agent when it does not."""
        return Live()

    @router.get(
        "/ready",
        response_model=Ready,
        responses={
            503: {
                "model": Ready,
                "description": "A truck would not be graded now.",
                "content": {"application/json": {"example": examples.NOT_READY}},
            }
        },
    )
    def ready() -> JSONResponse:
        """Answers 200 when a truck arriving now would be graded, else 503 with the problems."""
        status = station.status()
        body = Ready(ready=status.ready, problems=list(status.problems))
        return JSONResponse(body.model_dump(), 200 if status.ready else 503)

    return router

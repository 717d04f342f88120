"""/api/v1/models: which models there are, pushing one, and letting another one grade."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Final

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from edge_agent.api.errors import ApiError, documented
from edge_agent.api.login import Credentials, require_engineer
from edge_agent.api.model_schemas import (
    ModelsOut,
    ReceiptOut,
    RollBack,
    event_out,
    model_out,
    receipt_out,
    shadow_out,
    trust_out,
)
from edge_agent.api.ports import StationPort
from edge_agent.config import Intent
from edge_agent.errors import BundleError
from edge_agent.inference.bundle import golden_png
from edge_agent.records.ledger import Role
from edge_agent.updates.pace import GRACE_S, Pace

DELIVERIES: Final = "/api/v1/models/deliveries"

_EVENTS: Final = 100
_LEAST_BYTES_S: Final = 2000.0

_CHANGING: Final = (401, 403, 409, 422, 429, 503)
"""What any request that changes something may be answered with."""

Digest = Annotated[str, PathParam(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bundle.")]


def models_out(station: StationPort) -> ModelsOut:
    """All there is to say of the station's models. Blocks."""
    keeper, ledger = station.models, station.store.models
    roles = {row.digest: (Role(row.role), row.since) for row in ledger.roles().values()}
    active = keeper.active
    earlier = {m.digest: n for n, m in enumerate(ledger.earlier(active), start=1)}
    summary = keeper.shadowing.summary()
    candidate = next((d for d, (role, _) in roles.items() if role is Role.SHADOW), None)
    return ModelsOut(
        updates=station.config.model.updates is not None,
        active=active,
        shadow=shadow_out(candidate, summary) if summary and candidate else None,
        models=[
            model_out(
                model,
                roles.get(model.digest),
                keeper.depot.path(model.digest).exists(),
                earlier.get(model.digest),
            )
            for model in ledger.all()
        ],
        trust=trust_out(keeper.trust_status()),
        events=[event_out(event) for event in ledger.events(limit=_EVENTS)],
    )


def create_router(station: StationPort) -> APIRouter:
    """The routes, on that station. Whoever changes something must be an engineer."""
    users = station.users
    router = APIRouter(prefix="/models", tags=["models"])

    @router.get("", response_model=ModelsOut, responses=documented(503))
    def list_models() -> ModelsOut:
        """The models of this station, what each does, and the last that was done with them."""
        return models_out(station)

    @router.get(
        "/{digest}/golden/{name}",
        response_class=Response,
        responses=documented(
            404, 422, also={200: {"content": {"image/png": {}}, "description": "The image."}}
        ),
    )
    def get_golden(
        digest: Digest,
        name: Annotated[str, PathParam(pattern=r"^[A-Za-z0-9_.-]+\.png$")],
    ) -> Response:
        """A golden image of a model, as its network sees it."""
        try:
            data = golden_png(station.models.depot.path(digest), f"golden/{name}")
        except BundleError as error:
            raise ApiError(404, "no_such_image", str(error)) from error
        return Response(
            data, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"}
        )

    @router.post(
        "/deliveries",
        response_model=ReceiptOut,
        responses=documented(401, 403, 408, 409, 413, 422, 429, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def push(
        request: Request,
        credentials: Credentials,
        intent: Annotated[
            Intent | None,
            Query(alias="as", description="none: model.updates.new_models of station.yaml."),
        ] = None,
    ) -> ReceiptOut:
        """Takes a delivery of `cane-export push`: verifies its signatures, tries its bundle on this
        PC and lets it do what was asked. Answers when that is done; the model that grades goes on
        grading meanwhile, and whenever something is wrong."""
        actor = await anyio.to_thread.run_sync(require_engineer, users, credentials)
        folder = station.models.uploads()
        file = folder / f"{uuid.uuid4()}.zip"
        try:
            await _save(request.stream(), file)
            return await anyio.to_thread.run_sync(take, station, file, actor, intent)
        finally:
            file.unlink(missing_ok=True)

    @router.post("/roll-back", response_model=ModelsOut, responses=documented(*_CHANGING))
    def roll_back(body: RollBack, credentials: Credentials) -> ModelsOut:
        """Lets the model grade that graded before this one, or a given earlier one."""
        actor = require_engineer(users, credentials)
        station.models.roles.roll_back(actor, body.digest)
        return models_out(station)

    @router.post(
        "/{digest}/activate",
        response_model=ModelsOut,
        responses=documented(*_CHANGING),
    )
    def activate(digest: Digest, credentials: Credentials) -> ModelsOut:
        """Lets a model that is here and passed the gate grade from the next truck on."""
        actor = require_engineer(users, credentials)
        station.models.roles.activate(digest, actor)
        return models_out(station)

    @router.post(
        "/{digest}/shadow",
        response_model=ModelsOut,
        responses=documented(*_CHANGING),
    )
    def shadow(digest: Digest, credentials: Credentials) -> ModelsOut:
        """Lets a model grade the same trucks unseen."""
        actor = require_engineer(users, credentials)
        station.models.roles.shadow(digest, actor)
        return models_out(station)

    @router.delete("/shadow", response_model=ModelsOut, responses=documented(*_CHANGING))
    def release(credentials: Credentials) -> ModelsOut:
        """Takes the candidate out of the shadow."""
        actor = require_engineer(users, credentials)
        station.models.roles.release(actor)
        return models_out(station)

    return router


def take(station: StationPort, file: Path, actor: str, intent: Intent | None) -> ReceiptOut:
    """Takes in a delivery that lies in a file. Blocks. Raises UpdateError."""
    updates = station.config.model.updates
    wanted = intent or (updates.new_models if updates else "hold")
    return receipt_out(station.models.receive(file, actor, wanted))


async def _save(chunks: AsyncIterator[bytes], file: Path) -> None:
    """Writes a request's body to a file, unless it comes too slowly. Its size is limited before."""
    pace, size = Pace(_LEAST_BYTES_S), 0
    try:
        async with await anyio.open_file(file, "xb") as out:
            while True:
                # A line that has gone dead sends nothing at all.
                with anyio.move_on_after(GRACE_S) as waiting:
                    chunk = await anext(chunks, None)
                    if chunk is None:
                        return
                    size += len(chunk)
                    await out.write(chunk)
                slow = f"{size} bytes, then none" if waiting.cancelled_caught else pace.fault(size)
                if slow:
                    raise ApiError(
                        408,
                        "too_slow",
                        f"delivery: {slow}; check the network and push again",
                        {"Connection": "close"},
                    )
    except OSError as error:
        raise ApiError(
            503, "disk_full", f"delivery: {error.strerror or error}; make room on the data disk"
        ) from error

"""/api/v1/arrivals/{id}/evidence/{camera}: the frames a truck was graded on."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from edge_agent.api.arrivals import ArrivalId, require_arrival
from edge_agent.api.errors import ApiError, documented
from edge_agent.api.ports import StationPort
from edge_agent.config import CAMERA_IDS
from edge_agent.records.models import Arrival, Frame

WIDTHS: Final = (160, 320, 480, 640, 960, 1280, 1920)
"""Thumbnails come in these widths, so that a station's few pictures stay in the cache."""

_THUMBNAIL_QUALITY: Final = 85
_CACHED_THUMBNAILS: Final = 128


CameraId = Annotated[
    str, PathParam(pattern=f"^({'|'.join(CAMERA_IDS)})$", json_schema_extra={"enum": [*CAMERA_IDS]})
]
"""One of the station's cameras."""


def create_router(station: StationPort) -> APIRouter:
    """The route, on that station."""
    router = APIRouter(prefix="/arrivals", tags=["arrivals"])

    @router.get(
        "/{arrival_id}/evidence/{camera}",
        response_class=Response,
        responses=documented(
            404,
            410,
            422,
            500,
            503,
            also={
                200: {"content": {"image/jpeg": {}}, "description": "The frame."},
                304: {"description": "The caller has it already."},
            },
        ),
    )
    def get_evidence(
        arrival_id: ArrivalId,
        camera: CameraId,
        request: Request,
        width: Annotated[
            int | None,
            Query(ge=1, le=WIDTHS[-1], description="At least this wide; none: as recorded."),
        ] = None,
    ) -> Response:
        """The evidence JPEG of one camera, whole or as a thumbnail; ETag is its SHA-256."""
        frame = _frame(require_arrival(station, arrival_id), camera)
        snapped = None if width is None else next(w for w in WIDTHS if w >= width)
        etag = f'"{frame.sha256}"' if snapped is None else f'"{frame.sha256}-w{snapped}"'
        # Evidence never changes, but it may be removed when its time is over: no `immutable`.
        headers = {"ETag": etag, "Cache-Control": "private, max-age=86400"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        file = station.evidence.resolve(str(frame.path))
        if file is None:
            raise _gone(arrival_id, camera)
        try:
            sha256 = str(frame.sha256)
            data = _thumbnail(file, sha256, snapped) if snapped else _verified(file, sha256)
        except OSError as error:
            raise _gone(arrival_id, camera) from error
        return Response(data, media_type="image/jpeg", headers=headers)

    return router


def _frame(arrival: Arrival, camera: str) -> Frame:
    frames = arrival.grading.frames if arrival.grading is not None else []
    for frame in frames:
        if frame.camera == camera and frame.path is not None:
            return frame
    raise ApiError(
        404,
        "no_evidence",
        f"arrival {arrival.id}: no picture of {camera}; its frames list says why",
    )


def _gone(arrival_id: str, camera: str) -> ApiError:
    return ApiError(
        410,
        "evidence_gone",
        f"arrival {arrival_id}: the picture of {camera} is not on disk any more; "
        "look for it in a backup",
    )


def _verified(file: Path, sha256: str) -> bytes:
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        # A picture that is not the recorded one must never be shown as evidence.
        raise ApiError(
            500,
            "evidence_altered",
            f"evidence {file.parent.name}/{file.name}: its content is not what was recorded; "
            "do not use it, restore it from a backup",
        )
    return data


@functools.lru_cache(maxsize=_CACHED_THUMBNAILS)
def _thumbnail(file: Path, sha256: str, width: int) -> bytes:
    image = cv2.imdecode(np.frombuffer(_verified(file, sha256), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ApiError(
            500, "evidence_unreadable", f"evidence {file.parent.name}/{file.name}: not a JPEG"
        )
    height, full = image.shape[:2]
    if width < full:
        size = (width, max(1, round(height * width / full)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY])
    return encoded.tobytes()

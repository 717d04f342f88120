"""Opening a camera's stream, and saying why it failed without telling its password."""

from __future__ import annotations

import logging
import struct
from typing import Any, Final

import av
from av.error import (
    ExitError,
    FFmpegError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
    InvalidDataError,
)
from pydantic import SecretStr

from edge_agent.cameras.frames import Problem
from edge_agent.config import CamerasSection
from edge_agent.errors import AgentError
from edge_agent.reasons import Reason

log = logging.getLogger(__name__)

_OPTIONS: Final = {
    "rtsp_transport": "tcp",
    "fflags": "nobuffer",
    # The description tells codec and parameter sets: looking at more video only costs time.
    "analyzeduration": "200000",
    "probesize": "200000",
}


_MEANING: Final = {
    ExitError: "it sent no picture in time",
    InvalidDataError: "what answers there is no camera",
    ConnectionRefusedError: "nothing answers at that address and port",
    TimeoutError: "nothing answers at that address",
}
"""What the commonest failures of FFmpeg say to somebody who does not know its names."""


def open_stream(url: SecretStr, config: CamerasSection) -> Any:
    """An av container on an RTSP stream over TCP. Its exceptions hold the URL with the password:
    give them to `explain` and show them to nobody."""
    return av.open(
        url.get_secret_value(),
        options=_OPTIONS,
        timeout=(config.open_timeout_s, config.read_timeout_s),
    )


def produced_at(packet: Any) -> float | None:
    """The producer reference time FFmpeg derives from sender reports, in seconds since 1970."""
    data = bytes(packet.get_sidedata("prft"))
    if not data:
        return None
    microseconds, _flags = struct.unpack_from("<qi", data)
    return float(microseconds) / 1e6


def brings_report(packet: Any) -> bool:
    """Whether FFmpeg says that a sender report came before it. It does not say so of every one."""
    return bool(packet.has_sidedata("rtcp_sr"))


def explain(error: Exception, url: str, *, was_streaming: bool) -> Problem:
    """What a failed connection means, on the URL without its password."""
    if isinstance(error, HTTPUnauthorizedError | HTTPForbiddenError):
        return Problem(Reason.UNAUTHORIZED, f"{url}: check cameras.credentials in station.yaml")
    if isinstance(error, AgentError):
        return Problem(Reason.UNAUTHORIZED, str(error))
    if isinstance(error, HTTPNotFoundError):
        return Problem(Reason.NOT_FOUND, f"{url}: check the channel number in station.yaml")
    if isinstance(error, FFmpegError | OSError):
        if was_streaming:
            return Problem(Reason.STALLED, f"{url} stopped sending; check network and camera")
        kinds = (text for kind, text in _MEANING.items() if isinstance(error, kind))
        meaning = next(kinds, type(error).__name__)
        return Problem(Reason.UNREACHABLE, f"{url}: {meaning}; check address, cable and power")
    log.error("%s: unexpected %s in its reader", url, type(error).__name__)
    return Problem(Reason.INTERNAL, type(error).__name__)

"""Breaking a virtual station on demand, over HTTP on loopback: cameras' faults and the scale."""

from __future__ import annotations

import socket
import threading
import time
from typing import Annotated, Any, Self

import uvicorn
from fastapi import Body, FastAPI, HTTPException

from simulator.feed import Fault
from simulator.scale import weight_at
from simulator.station import VirtualStation

_REST_AFTER_S = 1.5


def create_control(station: VirtualStation) -> FastAPI:
    """The control of that station, described at /openapi.json."""
    app = FastAPI(title="Virtual station", docs_url=None, redoc_url=None)

    @app.get("/")
    def state() -> dict[str, Any]:
        """Every camera with its settings and fault, and the weight on the scale in kg."""
        weight, in_motion = weight_at(station.scale.load, time.time())
        return {
            "cameras": {
                camera: {
                    "url": station.url(camera),
                    "fault": feed.fault.value,
                    "codec": feed.spec.codec,
                    "fps": feed.spec.fps,
                    "gop": feed.spec.gop,
                    "latency_ms": feed.spec.latency_ms,
                }
                for camera, feed in station.feeds.items()
            },
            "scale": {"weight_kg": round(weight), "in_motion": in_motion},
        }

    @app.put("/cameras/{camera}/fault")
    def break_camera(camera: str, fault: Annotated[Fault, Body(embed=True)]) -> dict[str, str]:
        """Breaks a camera from its next picture on, or mends it with "none"."""
        if camera not in station.feeds:
            known = ", ".join(station.feeds)
            raise HTTPException(404, f"no camera {camera!r}; there are {known}")
        station.break_camera(camera, fault)
        return {"camera": camera, "fault": fault.value}

    @app.put("/scale")
    def weigh(weight_kg: Annotated[float, Body(embed=True, ge=0, le=80_000)]) -> dict[str, float]:
        """A truck of that weight drives onto the scale; with 0 it drives off."""
        if weight_kg > 0:
            station.put_on_scale(weight_kg, rest_after_s=_REST_AFTER_S)
        else:
            station.take_off_scale()
        return {"weight_kg": weight_kg}

    return app


class ControlServer:
    """Serves the control on 127.0.0.1 in a thread of its own while the context is open."""

    def __init__(self, station: VirtualStation, port: int = 0) -> None:
        """port 0 is chosen by the system. Raises OSError if the port is taken."""
        config = uvicorn.Config(create_control(station), log_level="warning", ws="none")
        # Bound at once: from here on a client's connection waits instead of being refused.
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="control", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(5.0)
        self._socket.close()

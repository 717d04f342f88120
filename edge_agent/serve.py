"""A station and its web server in one process."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn

from edge_agent.api.app import create_app
from edge_agent.config import HttpSection, StationConfig
from edge_agent.console import mount
from edge_agent.errors import ConfigError
from edge_agent.station import Station


def serve(config: StationConfig) -> None:
    """Runs until SIGINT or SIGTERM, then finishes the truck in hand.

    Raises AgentError if the address is taken or the station cannot be opened.
    """
    # uvicorn ends its work on a signal and raises it once more: the station is stopped after it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _listen(config.http) as listener:
        station = Station(config)
        try:
            app = create_app(station)
            mount(app, station)
            station.start()
            server = uvicorn.Server(
                uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
            )
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # Ctrl-C is the usual end
        finally:
            station.stop()


def _listen(http: HttpSection) -> socket.socket:
    """Taken before cameras and records are touched, so that a second agent spoils nothing."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        return socket.create_server((http.host, http.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"http {http.host}:{http.port}: {error.strerror or error}; choose another http.port in "
            "station.yaml, or stop what listens there"
        ) from error

"""A station and its web server in one process."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import uvicorn

from edge_agent.api.app import create_app
from edge_agent.config import StationConfig
from edge_agent.console import mount
from edge_agent.listener import listen
from edge_agent.station import Station


class _Server(uvicorn.Server):
    """Tells the station that the end is near: a push would hold the web server up for minutes."""

    def __init__(self, config: uvicorn.Config, station: Station) -> None:
        super().__init__(config)
        self._station = station

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGINT and SIGTERM."""
        self._station.models.give_up()
        super().handle_exit(sig, frame)


def serve(config: StationConfig) -> None:
    """Runs until SIGINT or SIGTERM, then finishes the truck in hand.

    Raises AgentError if the address is taken or the station cannot be opened.
    """
    # uvicorn ends its work on a signal and raises it once more: the station is stopped after it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # The address is taken before cameras and records are touched: a second agent spoils nothing.
    with listen(config.http) as listener:
        station = Station(config)
        try:
            app = create_app(station)
            mount(app, station)
            station.start()
            server = _Server(
                uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3), station
            )
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # Ctrl-C is the usual end
        finally:
            station.stop()

"""A station and its web server in one process."""

from __future__ import annotations

import uvicorn

from edge_agent.api.app import create_app
from edge_agent.config import StationConfig
from edge_agent.console import mount
from edge_agent.station import Station


def serve(config: StationConfig) -> None:
    """Runs until SIGINT or SIGTERM. Raises AgentError if the station cannot be opened."""
    station = Station(config)
    app = create_app(station)
    mount(app, station)
    station.start()
    try:
        uvicorn.run(
            app,
            host=config.http.host,
            port=config.http.port,
            log_level="warning",
            timeout_graceful_shutdown=3,
        )
    finally:
        station.stop()

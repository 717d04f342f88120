"""The address of the console and the API."""

from __future__ import annotations

import socket

from edge_agent.config import HttpSection
from edge_agent.errors import ConfigError


def listen(http: HttpSection) -> socket.socket:
    """A socket that listens there. Raises ConfigError if the address is taken or not this PC's."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        return socket.create_server((http.host, http.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"http {http.host}:{http.port}: {error.strerror or error}; choose another http.port in "
            "station.yaml, or stop what listens there"
        ) from error

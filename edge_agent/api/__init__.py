"""The HTTP interface under /api/v1, with /health and /metrics beside it."""

from edge_agent.api.app import create_app
from edge_agent.api.ports import StationPort

__all__ = ["StationPort", "create_app"]

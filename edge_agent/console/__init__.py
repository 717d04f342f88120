"""What operators see: NiceGUI pages on the API's own app, in Thai and English."""

from edge_agent.console.app import mount

__all__ = ["mount"]

"""`python -m edge_agent` is `edge-agent`."""

from edge_agent.cli import app

if __name__ == "__main__":
    app()

"""`cane-export`, also where its packages are not installed: then it says so in one line."""

from __future__ import annotations

from training.entry import run


def main() -> None:
    """Runs `cane-export`."""
    run("exporter.cli", "cane-export")

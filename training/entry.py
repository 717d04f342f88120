"""`cane-train`, also where its packages are not installed: then it says so in one line."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

_OURS: Final = ("edge_agent", "exporter", "simulator", "training")


def main() -> None:
    """Runs `cane-train`."""
    run("training.cli", "cane-train")


def run(module: str, program: str) -> None:
    """Runs a module's command line `app`; exit code 2 if a package it needs is missing."""
    try:
        import_module(module).app()
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in _OURS:
            raise
        sys.stderr.write(
            f"{program}: the package {error.name} is not installed; run make test, which installs "
            "it, or pip install '.[training]' in a checkout\n"
        )
        sys.exit(2)

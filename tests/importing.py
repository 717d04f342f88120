"""`cane-train data import`, as its tests call it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from training.cli import app


def run(*arguments: str | Path, code: int = 0) -> str:
    """What the command says; a fault must be one line."""
    result = CliRunner().invoke(app, ["data", "import", *map(str, arguments)])
    assert result.exit_code == code, result.output
    if code:
        assert len(result.output.strip().splitlines()) == 1
    return result.output

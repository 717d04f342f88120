"""A run of `cane-train fit` on a labelled folder, over the command lines."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from labelled import SIZE
from typer.testing import CliRunner

from exporter.cli import app as cane_export
from training.cli import app as cane_train

FIT: Final = (
    *("fit", "--size", SIZE, "--epochs", 30, "--batch", 16, "--patience", 30),
    *("--precision", "fp32", "--seed", 1, "--augment", "none", "--threads", 1),
)
"""Steps enough that batch norm's running statistics let images differ: after few of them the
network says the same of all, and nothing that is done to it shows."""


def train(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cane_train, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output if code else result.stdout


def export(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cane_export, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def told(*arguments: str | Path, code: int = 0) -> str:
    """What cane-train says to people, on stderr."""
    result = CliRunner().invoke(cane_train, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.stderr

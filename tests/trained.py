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
    *("--learning-rate", 0.003),
)
"""Steps enough, and large enough, that the network tells most images apart, on any processor: of
one that is unsure of all of them the last bits decide, and an int8 copy decides otherwise."""


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

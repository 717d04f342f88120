"""What the command line shows of a run, and what its command was."""

from __future__ import annotations

import shlex
import sys

import pytest

from training.console import RichReport
from training.provenance import command_line


def test_a_name_from_the_data_is_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # bars as on a terminal
    with RichReport() as report:
        report.begin("adapter of [/x] [red]north")
        report.step(1, 2, 0.5)
        report.loading("[/y]", 3)()
    shown = capsys.readouterr().err
    assert "adapter of [/x] [red]north: loss 0.500" in shown
    assert "reading [/y]" in shown


def test_the_command_of_a_result_can_be_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["data", "import", "folder", "C D", "--truck-pattern", r"(?P<truck>\d+)'$"]
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/cane-train", *asked])
    assert shlex.split(command_line()) == ["cane-train", *asked]

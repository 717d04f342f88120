"""What the command line shows of a run, and what its command was."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from training.console import RichReport
from training.provenance import command_line, revision


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


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_result_tells_the_revision_of_the_code(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    assert revision(tmp_path) is None  # an installed package is no checkout
    git("init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    git("tag", "-a", "v1", "-m", "a tag does not hide it")
    commit = git("rev-parse", "HEAD")[:12]
    revision.cache_clear()
    assert revision(tmp_path) == commit
    (tmp_path / "notes.txt").write_text("no code")
    (tmp_path / "code.py").write_text("2\n")
    revision.cache_clear()
    assert revision(tmp_path) == f"{commit}-dirty"

"""One command at a time in a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.alone import alone
from training.errors import RunError

HOLDS = """
import sys, time
from pathlib import Path
from training.alone import alone
with alone(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another command that is in the folder until it gets a line."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], text=True, **pipes)
    assert started.stdout is not None
    assert started.stdout.readline() == "held\n"
    return started


def test_another_waits_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    with holder(tmp_path) as other:

        def end_the_other(text: str) -> None:
            said.append(text)
            assert other.stdin is not None
            other.stdin.write("\n")
            other.stdin.flush()

        with alone(tmp_path, end_the_other):
            assert other.wait() == 0
    assert said == [f"{tmp_path}: another command is at work there; waits until that has ended"]
    with alone(tmp_path, pytest.fail):
        pass


def test_nobody_waits_for_longer_than_there_is_time(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        with (
            pytest.raises(RunError, match="was at work there until time was up"),
            alone(tmp_path, print, deadline=time.monotonic()),
        ):
            pytest.fail("two at once")
        # Another name is another matter, and a killed command holds nothing.
        with alone(tmp_path, pytest.fail, name=".other"):
            other.send_signal(signal.SIGKILL)
    with alone(tmp_path, pytest.fail):
        pass

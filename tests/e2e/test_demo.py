"""`cane-sim demo` as a whole: its JSON, its exit codes, and an agent that dies under it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from demo_keys import SUMMARY_KEYS, TRUCK_KEYS

from edge_agent.grades import GRADES, Grade

BUNDLE = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"


class Demo:
    """A `cane-sim demo --json` process with small pictures, ended with its context."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "simulator", "demo", "--json", "--width", "320"]
        command += ["--port", "0", "--data-dir", str(folder), "--bundle", str(BUNDLE)]
        command += options
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        """What it has said on stderr."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Where the test has failed before its end; it takes its agent and workers with it.
        self._process.terminate()
        self._process.communicate(timeout=60)

    def until(self, pattern: str) -> str:
        """Waits for a line on stderr with that pattern and returns its first group."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line.rstrip())
            if match := re.search(pattern, line):
                return match[1]
        raise AssertionError(f"no line with {pattern}: {self.lines}")

    def end(self) -> tuple[int, dict[str, Any]]:
        """Its exit code and what it has printed on stdout, once it has ended."""
        out, err = self._process.communicate(timeout=120)
        self.lines += err.splitlines()
        (line,) = out.splitlines()
        report = json.loads(line)
        assert set(report) == {"trucks", "summary"}
        assert set(report["summary"]) == SUMMARY_KEYS
        assert all(set(truck) == TRUCK_KEYS for truck in report["trucks"])
        return self._process.returncode, report


def test_refused_and_graded_trucks_all_have_records(tmp_path: Path) -> None:
    with Demo(tmp_path, "--trucks", "2", "--stay", "3", "--width", "568") as demo:
        console = demo.until(r"console: (\S+)")
        control = demo.until(r"--at (\S+)")
        models = httpx.get(f"{console}/api/v1/models").json()
        # Signed by the demo's own keys and pushed by its engineer.
        assert [event["actor"] for event in models["events"]] == ["engineer", "engineer"]
        (model,) = models["models"]
        assert (model["role"], model["listed"]) == ("active", True)

        def break_c301(fault: str) -> None:
            httpx.put(f"{control}/cameras/C301/fault", json={"fault": fault}).raise_for_status()

        break_c301("stall")
        demo.until(r"(refused)")
        break_c301("none")
        code, report = demo.end()
    assert code == 0, demo.lines
    refused, graded = report["trucks"]
    assert (refused["outcome"], refused["reason"]) == ("refused", "stalled")
    assert refused["grade"] is refused["probabilities"] is None
    assert set(refused["frames"]) == {"C101", "C201", "C401"}
    assert graded["outcome"] == "graded"
    assert set(graded["truth"]) == {"grade", "trash", "region"}
    assert graded["grade"] in set(GRADES)
    assert set(graded["probabilities"]) == set(GRADES)
    if graded["grade"] != Grade.UNDEFINED:  # the demo's model tells the share of trash
        estimate = [graded["trash"][bound] for bound in ("low", "middle", "high")]
        assert estimate == sorted(estimate)
    assert set(graded["frames"]) == {"C101", "C201", "C301", "C401"}
    assert {frame["clock"] for frame in graded["frames"].values()} == {"rtcp"}
    times = [datetime.fromisoformat(f["captured_at"]) for f in graded["frames"].values()]
    spread_ms = (max(times) - min(times)).total_seconds() * 1000
    assert spread_ms == pytest.approx(graded["skew_ms"], abs=1.1)
    assert report["summary"] == {
        "announced": 2,
        "recorded": 2,
        "graded": 1,
        "refused": 1,
        "accuracy": float(graded["grade"] == graded["truth"]["grade"]),
        "skew_ms_p95": pytest.approx(graded["skew_ms"], abs=0.01),
        "latency_ms_p95": pytest.approx(graded["latency_ms"], abs=0.01),
    }


def test_truck_without_a_record_fails_the_demo(tmp_path: Path) -> None:
    # Nobody waits for the outcome, and the slowest camera takes 400 ms for its picture.
    with Demo(tmp_path, "--fixed", "--trucks", "1", "--wait", "0") as demo:
        code, report = demo.end()
    assert code == 1, demo.lines
    (truck,) = report["trucks"]
    assert truck["record_id"] is not None
    assert truck["outcome"] is None
    assert (report["summary"]["announced"], report["summary"]["recorded"]) == (1, 0)


def test_trucks_so_far_survive_an_agent_that_dies(tmp_path: Path) -> None:
    with Demo(tmp_path, "--fixed", "--trucks", "2", "--stay", "0") as demo:
        agent = int(demo.until(r"agent: process (\d+)"))
        demo.until(r"(truth)")
        os.kill(agent, signal.SIGKILL)
        code, report = demo.end()
    assert code == 2, demo.lines
    faults = [line for line in demo.lines if "cane-sim demo" in line]
    assert faults == demo.lines[-1:]
    assert "the agent does not answer" in faults[0]
    assert str(tmp_path / "agent.log") in faults[0]
    first, second = report["trucks"]
    assert first["outcome"] is not None
    assert (second["record_id"], second["outcome"]) == (None, None)
    assert (report["summary"]["announced"], report["summary"]["recorded"]) == (2, 1)


@pytest.mark.slow
def test_demo_at_full_size(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulator", "demo", "--trucks", "2", "--json"]
    command += ["--port", "0", "--data-dir", str(tmp_path), "--bundle", str(BUNDLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["announced"] == report["summary"]["recorded"] == 2
    assert report["summary"]["graded"] == 2
    assert report["summary"]["skew_ms_p95"] < 100

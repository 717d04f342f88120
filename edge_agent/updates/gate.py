"""The gate: a bundle is tried in a process of its own before it comes near a truck.

The process runs on the station's own CPU with as many threads as grading has, under limits on time
and memory: whatever a bundle does there, the agent lives on and keeps its model.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Final

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from edge_agent.errors import UpdateError
from edge_agent.grades import Grade

_POLL_S: Final = 0.05
_SAID: Final = 300
"""Characters of a crashed child's last words that are kept."""


class Limits(BaseModel):
    """What a bundle may use while it is tried, and how fast it must be.

    latency_ms: of one truck, the 95th percentile of RUNS. memory_mb: of the whole process.
    """

    model_config = ConfigDict(frozen=True)

    threads: int
    latency_ms: float
    timeout_s: float
    memory_mb: int


class GoldenResult(BaseModel):
    """A golden image: the probabilities its manifest expects and those that came out here.

    got: None where it was not a finite number. difference: max |dp|.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    grade: Grade
    expected: tuple[float, ...]
    got: tuple[float | None, ...]
    difference: float | None


class Report(BaseModel):
    """What came of a trial. fault: why the bundle must not grade, None if it may. transient: the
    fault is one of time or memory, which a busy PC may have caused.

    latency_p50_ms, latency_p95_ms: of one truck's resized picture, after warming up. tolerance: of
    the golden images, from the manifest.
    """

    model_config = ConfigDict(frozen=True)

    fault: str | None = None
    transient: bool = False
    name: str | None = None
    version: str | None = None
    tolerance: float | None = None
    golden: tuple[GoldenResult, ...] = ()
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    memory_mb: float | None = None
    took_s: float | None = None


def try_out(bundle: Path, limits: Limits, stopping: threading.Event) -> Report:
    """Tries a bundle and waits for the result. stopping: ends the trial when it is set.

    Does not raise for anything a bundle can do; raises UpdateError if the trial could not be made.
    """
    try:
        return _try_out(bundle, limits, stopping)
    except OSError as error:
        raise UpdateError(
            f"{bundle.name}: cannot be tried ({error.strerror or error}); check disk and memory"
        ) from error


def _try_out(bundle: Path, limits: Limits, stopping: threading.Event) -> Report:
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        child = subprocess.Popen(  # noqa: S603 - the agent's own module
            # Trucks are graded meanwhile, and they come first: from its first moment on.
            ["nice", "-n", "10", sys.executable, "-m", "edge_agent.updates.trial", str(bundle)],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=complained,
            text=True,
        )
        try:
            assert child.stdin is not None  # noqa: S101 - narrows the type
            with child.stdin as pipe:
                pipe.write(limits.model_dump_json())
            fault, peak_mb = _watch(child, limits, began, stopping)
        except BrokenPipeError:
            child.wait()
            fault, peak_mb = None, None
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if stopping.is_set():
            raise UpdateError(f"{bundle.name}: the agent stops; push it again")
        report = _read(child, said, complained)
        if fault is not None:
            report = Report(fault=fault, transient=True)
    return report.model_copy(
        update={"took_s": time.monotonic() - began, "memory_mb": report.memory_mb or peak_mb}
    )


def _watch(
    child: subprocess.Popen[str], limits: Limits, began: float, stopping: threading.Event
) -> tuple[str | None, float | None]:
    """Waits for the child within its limits: what it broke, and the most memory it was seen with.

    The child limits itself too, where the system lets it; this is what it cannot get around.
    """
    peak = 0.0
    while True:
        try:
            child.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            pass
        else:
            return None, peak or None
        if stopping.is_set():
            return None, None
        try:
            peak = max(peak, psutil.Process(child.pid).memory_info().rss / 2**20)
        except psutil.NoSuchProcess:
            continue
        if peak > limits.memory_mb:
            return f"it takes more than {limits.memory_mb} MB of memory", peak
        if time.monotonic() - began > limits.timeout_s:
            return f"it is not done within {limits.timeout_s:g} s; it hangs or is too slow", peak


def _read(child: subprocess.Popen[str], said: IO[str], complained: IO[str]) -> Report:
    said.seek(0)
    try:
        return Report.model_validate_json(said.read())
    except ValidationError:
        complained.seek(0)
        words = " ".join(complained.read().split())[-_SAID:]
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"code {child.returncode}"
        return Report(fault=f"its trial ended with {how}" + (f": {words}" if words else ""))

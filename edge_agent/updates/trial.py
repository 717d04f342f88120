"""The child process of the gate: `python -m edge_agent.updates.trial BUNDLE`.

Limits come as JSON on stdin, the report goes as JSON to stdout. Everything a bundle could do to a
process it does to this one.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from edge_agent.errors import BundleError
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from edge_agent.updates.gate import GoldenResult, Limits, Report

_PR_SET_PDEATHSIG: Final = 1
_WARM_UP: Final = 3
RUNS: Final = 20
_OVERHEAD_MB: Final = 4096
"""Address space beside memory in use: code, thread stacks and reserved heaps."""


def main() -> None:
    """Tries the bundle and says what came of it."""
    limits = Limits.model_validate_json(sys.stdin.read())
    _confine(limits)
    try:
        report = _try(Path(sys.argv[1]), limits)
    except MemoryError:
        report = Report(fault=f"it takes more than {limits.memory_mb} MB of memory")
    except BundleError as error:
        report = Report(fault=str(error))
    sys.stdout.write(report.model_dump_json())


def _confine(limits: Limits) -> None:
    # However the agent ends, this process does not outlive it (prctl(2), PR_SET_PDEATHSIG).
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    size = (limits.memory_mb + _OVERHEAD_MB) << 20
    seconds = math.ceil(limits.timeout_s * limits.threads) + 1
    for what, most in ((resource.RLIMIT_AS, size), (resource.RLIMIT_CPU, seconds)):
        # A service manager may forbid it; the parent watches time and memory besides.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))


def _try(path: Path, limits: Limits) -> Report:
    bundle = Bundle.read(path)
    manifest = bundle.manifest
    grader = Grader(bundle, threads=limits.threads, check_golden=False)
    got, levels = grader.golden()
    results = tuple(
        GoldenResult(
            path=golden.path,
            grade=golden.grade,
            expected=golden.probabilities,
            got=tuple(float(p) if np.isfinite(p) else None for p in row),
            difference=_difference(golden.probabilities, row),
        )
        for golden, row in zip(manifest.golden, got, strict=True)
    )
    report = Report(
        name=manifest.name,
        version=manifest.version,
        tolerance=manifest.golden_tolerance,
        golden=results,
    )
    fault = grader.golden_fault(got, levels)
    if fault is None:
        took = _latencies(grader, bundle)
        p50, p95 = (float(q) for q in np.percentile(took, (50, 95)))
        report = report.model_copy(update={"latency_p50_ms": p50, "latency_p95_ms": p95})
        if p95 > limits.latency_ms:
            fault = (
                f"it takes {p95:.0f} ms a truck on this PC (95th percentile of {RUNS}), allowed is "
                f"{limits.latency_ms:g}; export a smaller model, or raise "
                "model.updates.latency_ms"
            )
            return report.model_copy(update={"fault": fault, "transient": True})
    return report.model_copy(update={"fault": fault})


def _latencies(grader: Grader, bundle: Bundle) -> list[float]:
    took = []
    for run in range(_WARM_UP + RUNS):
        image = bundle.golden[run % len(bundle.golden)]
        began = time.perf_counter()
        grader.grade(image)
        took.append((time.perf_counter() - began) * 1000)
    return took[_WARM_UP:]


def _difference(expected: tuple[float, ...], got: np.ndarray) -> float | None:
    worst = float(np.abs(got - np.asarray(expected, np.float32)).max())
    return worst if math.isfinite(worst) else None


if __name__ == "__main__":
    main()

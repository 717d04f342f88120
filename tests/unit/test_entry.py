"""A command whose packages are missing says so."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["training", "exporter"])
def test_missing_package_is_one_line(module: str) -> None:
    script = f"import sys; sys.modules['torch'] = None; from {module}.entry import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "torch is not installed" in done.stderr
    assert len(done.stderr.splitlines()) == 1

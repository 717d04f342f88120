"""Where a result comes from: program versions and the kind of machine."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("canegrade", "torch", "accelerate", "kornia", "numpy", "opencv-python-headless")


def of_result(*further: str) -> dict[str, Any]:
    """What a result's JSON says of how it was come by. further: packages it depends on besides."""
    return {
        "command": command_line(),
        "date": now(),
        "machine": machine(),
        "versions": versions(*further),
    }


def versions(*further: str) -> dict[str, str]:
    """Versions of Python and of the packages a result depends on; our own with the revision, as
    0.1.0+1a2b3c4d5e6f, in a checkout, and with -dirty behind it where that has been changed."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *further):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if "canegrade" in found and (now := revision()) is not None:
        found["canegrade"] += f"+{now}"
    return found


@cache
def revision(folder: Path = Path(__file__).parents[1]) -> str | None:
    """The git revision of the code in a folder; None where it is no checkout, or there is no git.
    Of a process: code that changes later is not what runs."""
    git = shutil.which("git")
    if git is None or not (folder / ".git").exists():
        return None
    command = [git, "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(  # noqa: S603 - all of it is ours
        [*command, "--exclude=*"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def machine() -> str:
    """The kind of machine, such as "AMD EPYC 7B13, 2 cores, x86_64". Names no host."""
    parts = [_cpu_name(), f"{os.cpu_count()} cores", platform.machine()]
    if torch.cuda.is_available():
        parts.insert(0, torch.cuda.get_device_name())
    return ", ".join(part for part in parts if part)


def command_line() -> str:
    """The command as a shell takes it, without the folder the program lies in."""
    program = Path(sys.argv[0])
    module = program.name == "__main__.py"
    name = f"python -m {program.parent.name}" if module else program.name
    return " ".join([name, *map(shlex.quote, sys.argv[1:])])


def now() -> str:
    """The date and time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

"""Imports point one way, also those inside functions and those by name."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("edge_agent", "training", "exporter", "simulator")

ALLOWED = {
    "edge_agent": ("edge_agent",),
    "training": ("training", "edge_agent.grades"),
    "exporter": ("exporter", "training", "edge_agent"),
    "simulator": ("simulator", "edge_agent.grades"),
}
"""What each package may import of the house's four."""

FORBIDDEN = {
    # A station has no torch.
    "edge_agent": ("torch", "torchvision", "diffusers"),
    "simulator": ("torch", "torchvision", "diffusers"),
}
BY_NAME = ("import_module", "__import__", "find_spec")


def imported(source: str, package: str = "") -> Iterator[tuple[int, str]]:
    """The line and the full name of all that a module of `package` imports, wherever it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name(
                "." * node.level + (node.module or ""), package or None
            )
            # What is imported may be a module itself: `from edge_agent import grades`.
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in BY_NAME:
            names = [a.value for a in node.args if isinstance(a, ast.Constant)]
            yield from ((node.lineno, name) for name in names if isinstance(name, str))


def is_within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def faults(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Imports that a module of that package must not have."""
    room = package.split(".")[0]
    for line, name in imported(source, package):
        ours = any(is_within(name, other) for other in PACKAGES)
        allowed = any(is_within(name, module) for module in ALLOWED[room])
        forbidden = any(is_within(name, module) for module in FORBIDDEN.get(room, ()))
        if forbidden or (ours and not allowed):
            yield line, name


@pytest.mark.parametrize("room", PACKAGES)
def test_imports_point_one_way(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert len(files) > 5
    found = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for line, name in faults(
            file.read_text(encoding="utf-8"), ".".join(file.relative_to(ROOT).parent.parts)
        )
    ]
    assert found == []


@pytest.mark.parametrize(
    ("package", "source", "fault"),
    [
        ("edge_agent.api", "import torch.nn as nn", "torch.nn"),
        ("edge_agent", "def late():\n    from training.data import tables", "training.data.tables"),
        ("edge_agent", "try:\n    import simulator\nexcept ImportError: ...", "simulator"),
        ("edge_agent", "importlib.import_module('exporter.cli')", "exporter.cli"),
        ("edge_agent", "if TYPE_CHECKING:\n    from diffusers import Unet", "diffusers.Unet"),
        ("simulator", "from edge_agent import config", "edge_agent.config"),
        ("simulator", "from edge_agent.station import Station", "edge_agent.station.Station"),
        ("simulator", "__import__('training')", "training"),
        ("training.data", "import edge_agent", "edge_agent"),
        ("training.data", "from .. import cli as c, errors\nimport exporter", "exporter"),
        ("exporter", "from simulator.truth import draw_truck", "simulator.truth.draw_truck"),
    ],
)
def test_each_kind_of_fault_is_found(package: str, source: str, fault: str) -> None:
    assert [name for _, name in faults(source, package)] == [fault]


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("training", "from edge_agent.grades import GRADES, Grade"),
        ("simulator", "from edge_agent import grades"),
        ("exporter", "import torch, training.model, edge_agent.config"),
        ("edge_agent.api", "from ..records import store\nimport torchless"),
    ],
)
def test_what_is_allowed_is_no_fault(package: str, source: str) -> None:
    assert list(faults(source, package)) == []


def test_deliveries_need_no_torch() -> None:
    """`make run` installs none, and the demo delivers its model by the exporter's command."""
    without = "import sys; sys.modules['torch'] = None; import exporter.cli"
    found = subprocess.run((sys.executable, "-c", without), capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-500:]

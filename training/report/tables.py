"""Tables as data: the page and the Markdown file show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

NONE: Final = "–"

MODEL_NAMES: Final = {
    "simple_dcnn": "SimpleDCNN",
    "resnet50v2": "ResNet50V2",
    "mobilenetv2": "MobileNetV2",
    "colour_histogram": "Colour histogram",
    "frozen_features": "Frozen features",
}


@dataclass(frozen=True)
class Cell:
    """What stands in a cell; the interval is set smaller, under it."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first `names` columns are text, the others figures.

    note: a line under it.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    names: int = 1
    note: str = ""


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell | str]],
    *,
    names: int = 1,
    note: str = "",
) -> Table:
    """A table from texts and cells."""
    cells = tuple(
        tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows
    )
    return Table(caption, tuple(columns), cells, names, note)


def percent(figures: dict[str, Any], name: str, *, of: int | None = None) -> Cell:
    """The figure X of 0..1 as per cent with X_ci. of: among so many images; none for 0."""
    value, interval = figures.get(name), figures.get(f"{name}_ci")
    if value is None or of == 0:
        return Cell(NONE)
    return Cell(
        f"{100 * value:.1f}",
        f"{100 * interval[0]:.1f} – {100 * interval[1]:.1f}" if interval else "",
    )


def percent_of(figures: dict[str, Any], name: str, key: str) -> Cell:
    """The same for figures by grade: X[key] and X_ci[key]."""
    pair = {name: figures[name][key], f"{name}_ci": figures[f"{name}_ci"][key]}
    return percent(pair, name, of=figures["images"][key])


def points(figures: dict[str, Any], name: str) -> Cell:
    """A difference of two shares as percentage points, with its sign; none where not defined."""
    if figures[name] is None:
        return Cell(NONE)
    value, interval = figures[name], figures.get(f"{name}_ci")
    found = f"{signed(interval[0])} … {signed(interval[1])}" if interval else ""
    return Cell(signed(value), found)


def signed(share: float) -> str:
    """A share as percentage points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def probability(p: float) -> str:
    """A p-value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def model_name(name: str) -> str:
    """What people call a model."""
    return MODEL_NAMES.get(name, name)


def grade_name(grade: str, classes: dict[str, str] | None = None) -> str:
    """A grade in words, or what stands in its place where the images show something else."""
    found = [name for name, place in (classes or {}).items() if place == grade]
    return ", ".join(found) or grade.replace("_", " ")


def markdown(tables: Sequence[Table]) -> str:
    """All tables, for a README."""
    return "\n".join(_markdown(one) for one in tables)


def _markdown(one: Table) -> str:
    lines = [
        f"**{one.caption}**\n",
        "| " + " | ".join(one.columns) + " |",
        "|" + "|".join([" --- "] * one.names + [" ---: "] * (len(one.columns) - one.names)) + "|",
    ]
    lines += ["| " + " | ".join(_in_line(cell) for cell in row) + " |" for row in one.rows]
    return "\n".join([*lines, f"\n{one.note}\n" if one.note else ""])


def _in_line(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|")
    return f"{text} ({cell.interval})" if cell.interval else text

"""One HTML page that needs nothing beside it: images are inlined, no address is looked up."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from training.report.tables import Table, markdown

PAGE_NAME: Final = "report.html"
TABLES_NAME: Final = "tables.md"

_DPI: Final = 150


@dataclass(frozen=True)
class Plot:
    """A figure, the name of its PNG file without the ending, and what it shows."""

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    text: str = ""
    tables: Sequence[Table] = field(default_factory=tuple)
    plots: Sequence[Plot] = field(default_factory=tuple)


@dataclass(frozen=True)
class Page:
    """The whole page. facts: name and value of what stands at its head."""

    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]

    def write(self, out: Path) -> Path:
        """Writes report.html, tables.md and a PNG a plot to OUT; returns the page's path."""
        out.mkdir(parents=True, exist_ok=True)
        images = {}
        for plot in (plot for section in self.sections for plot in section.plots):
            png = io.BytesIO()
            # Without the program's version in it, the same figures give the same file.
            plot.figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
            (out / f"{plot.name}.png").write_bytes(png.getvalue())
            images[plot.name] = base64.b64encode(png.getvalue()).decode()
        templates = Environment(
            loader=PackageLoader("training.report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        html = templates.get_template("page.html").render(page=self, images=images)
        (out / PAGE_NAME).write_text(html, "utf-8")
        tables = [table for section in self.sections for table in section.tables]
        (out / TABLES_NAME).write_text(markdown(tables), "utf-8")
        return out / PAGE_NAME

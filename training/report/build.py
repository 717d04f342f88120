"""From a file of figures to a page: the story of `cane-train report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.font_manager import get_font_names

from training.errors import RunError
from training.report import model_page, study_page

OWN_FONT: Final = "DejaVu Sans"
THAI_FONTS: Final = ("Noto Sans Thai", "Loma", "Garuda", "Tahoma", "Thonburi")
"""Of Debian's packages, of Windows and of macOS."""

_SOURCES: Final = ("study.json", "metrics.json")


def draw(source: Path, out: Path) -> Path:
    """Draws study.json or metrics.json, of a folder or the file itself; returns OUT/report.html.

    Raises RunError when there is none or it is of another kind.
    """
    file, content = _read(source)
    if content.get("pooled") == []:
        raise RunError(f"{file}: no run is finished yet; run its cane-train study again")
    with rc_context({"font.family": _families()}):
        try:
            page = study_page.page(content) if "rows" in content else model_page.page(content)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise RunError(
                f"{file}: not a study.json or metrics.json of this version ({error!r}); make it "
                "again with cane-train study, fit or evaluate"
            ) from error
        try:
            return page.write(out)
        except OSError as error:
            raise RunError(f"{out}: {error.strerror or error}; choose another --out") from error


def folder_of(source: Path) -> Path:
    """Where a report goes by default: the folder report/ beside its source."""
    return (source if source.is_dir() else source.parent) / "report"


def _families() -> list[str]:
    """Of fonts: matplotlib's own has no Thai, in which mills name their classes."""
    installed = set(get_font_names())
    return [OWN_FONT, *(name for name in THAI_FONTS if name in installed)]


def _read(source: Path) -> tuple[Path, dict[str, Any]]:
    file = source
    if source.is_dir():
        file = next((source / name for name in _SOURCES if (source / name).exists()), source)
        if file == source:
            raise RunError(
                f"{source}: has neither {' nor '.join(_SOURCES)}; give a folder of cane-train "
                "study, fit or evaluate --out"
            )
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"not JSON ({error})"
        raise RunError(f"{file}: {reason}; give a study.json or metrics.json") from error
    if not isinstance(content, dict):
        raise RunError(f"{file}: not a JSON object; give a study.json or metrics.json")
    return file, content

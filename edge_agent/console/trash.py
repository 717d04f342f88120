"""How much of a load is leaf and trash: an estimate, and never shown without its interval."""

from __future__ import annotations

import math

from edge_agent.api.schemas import GradingOut, TrashOut
from edge_agent.console.elements import tag
from edge_agent.console.formats import Formats
from edge_agent.console.page import Context


def in_short(f: Formats, trash: TrashOut) -> str:
    """The estimate and its interval, as ≈ 12 % (5–22); bounds are rounded outwards."""
    low, high = f.number(math.floor(trash.low)), f.number(math.ceil(trash.high))
    return f"≈ {f.number(trash.middle, unit='%')} ({low}–{high})"


def panel(context: Context, grading: GradingOut | None) -> None:
    """A panel with the estimate, its interval as a picture, and what the interval means.

    Nothing where there is no estimate.
    """
    trash = grading.trash if grading is not None else None
    if trash is None:
        return
    t, f = context.t, context.f
    with tag("section", classes="panel trash-panel"):
        with tag("h2"):
            tag("span", t("Trash (estimate)"))
        tag("div", in_short(f, trash), "number trash-estimate")
        with tag("div", classes="range", aria_hidden="true"):
            width = trash.high - trash.low
            tag("span", classes="range-fill", style=f"left:{trash.low:.1f}%;width:{width:.1f}%")
            tag("span", classes="range-middle", style=f"left:{trash.middle:.1f}%")
        note = t(
            "Estimated from the picture, not measured. Of 100 loads, the true share of about "
            "{count} lies between the two bounds.",
            count=f.number(100 * trash.coverage),
        )
        tag("div", note, "muted small")

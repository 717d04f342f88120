"""A model's golden images: what it must say of each, and what it said on this PC."""

from __future__ import annotations

from edge_agent.api.model_schemas import GoldenOut, ModelEntry
from edge_agent.console import parts
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import icon, tag
from edge_agent.console.page import Context
from edge_agent.grades import GRADES


def golden_images(context: Context, model: ModelEntry) -> None:
    """A line with the result that opens to all images, expected beside got."""
    t, f, trial = context.t, context.f, model.trial
    if not trial.golden:
        return
    worst = [golden.difference for golden in trial.golden]
    largest = None if None in worst else max(d for d in worst if d is not None)
    good = largest is not None and trial.tolerance is not None and largest <= trial.tolerance
    with tag("details", classes="golden"):
        with tag("summary", classes="" if good else "bad"):
            icon("check_circle" if good else "error")
            if largest is None:
                text = t("Golden images ({count}): no number came out", count=len(trial.golden))
            else:
                text = t(
                    "Golden images ({count}): at most {difference} off",
                    count=len(trial.golden),
                    difference=f.number(largest, 4),
                )
            tag("span", text)
            icon("expand_more", "more")
        with tag("div", classes="golden-grid"):
            for golden in trial.golden:
                _image(context, model, golden)


def _image(context: Context, model: ModelEntry, golden: GoldenOut) -> None:
    t, f = context.t, context.f
    with tag("figure", classes="golden-image"):
        if model.on_disk:
            tag("img", src=golden.image, alt=words.grade_name(t, golden.grade), loading="lazy")
        with tag("figcaption"):
            tag("strong", words.grade_name(t, golden.grade))
            with tag("table", classes="golden-values"):
                with tag("thead"), tag("tr"):
                    for head in ("", t("Expected"), t("Got here")):
                        tag("th", head, scope="col")
                with tag("tbody"):
                    for grade, expected, got in zip(
                        GRADES, golden.expected, golden.got, strict=True
                    ):
                        with tag("tr"):
                            with tag("td", title=words.grade_name(t, grade)):
                                parts.grade_icons(grade, "bar-icons")
                            tag("td", f.number(expected, 4), "number right")
                            tag("td", f.number(got, 4), "number right")
            off = f.number(golden.difference, 4) if golden.difference is not None else "–"
            tag("span", t("Off by {difference}", difference=off), "muted small")

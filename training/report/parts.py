"""What the page of a model and that of a study have in common."""

from __future__ import annotations

from typing import Any, Final

from training.report.page import Section
from training.report.tables import NONE, Table, grade_name, table

INTERVALS: Final = (
    "Figures are per cent; under each stands its 95 % interval. Trucks are resampled with all "
    "their images, as the views of one truck are not independent. A figure of 0 or 100 % gets no "
    "width this way: few trucks may be behind it, so look at their number too."
)

CALIBRATION: Final = (
    "The calibration error grows with noise, so its interval is made otherwise: from how far the "
    "gaps between confidence and accuracy stray. It is wider than it need be where the error is "
    "large."
)


def facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Where the figures come from."""
    packages = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return [
        ("data", f"{found['data']['name']}, SHA-256 {found['data']['digest']}"),
        ("date", found["date"]),
        ("machine", found["machine"]),
        ("command", found["command"]),
        ("versions", packages),
    ]


def data_section(data: dict[str, Any]) -> Section:
    """Images by split and grade, how labels were made, how far the experts agree."""
    splits = data["splits"]
    rows = [
        [grade_name(grade, data["classes"])]
        + [str(split["grades"][grade]) for split in splits.values()]
        + [str(count)]
        for grade, count in data["grades"].items()
    ]
    for what in ("images", "trucks"):
        total = str(data[what])
        rows.append([f"all {what}", *(str(split[what]) for split in splits.values()), total])
    columns = ["", *("no split" if name == "none" else name for name in splits), "all"]
    return Section("Data", _labels(data) + _skipped(data), [_splits(columns, rows, data)])


def _splits(columns: list[str], rows: list[list[str]], data: dict[str, Any]) -> Table:
    return table(
        "Labelled images by grade and split",
        columns,
        rows,
        note=f"Kept in one split: {data['grouping']}. Disputed and unlabelled images count in "
        "“all images” only.",
    )


def _skipped(data: dict[str, Any]) -> str:
    count = data.get("skipped")
    return f" {count} images could not be read and are left out." if count else ""


def _labels(data: dict[str, Any]) -> str:
    if data["labels"] == "truth":
        return f"Labels are the known grades; {data['unlabelled']} images have none."
    kappa = NONE if data["fleiss_kappa"] is None else f"{data['fleiss_kappa']:.3f}"
    method = {"majority": "the majority of the experts' votes", "dawid-skene": "Dawid and Skene"}
    return (
        f"Labels by {method[data['label_method']]}, at least {data['agreement']:.0%}; Fleiss' "
        f"kappa of the experts {kappa}. Set aside: {data['disputed']} disputed, "
        f"{data['unlabelled']} without a vote."
    )

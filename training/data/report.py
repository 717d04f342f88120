"""The findings of a data check, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from training.data import splits
from training.data.check import DataReport
from training.data.images import Skip
from training.data.manifest import SPLITS

_LISTED: Final = 20
"""So many of a kind are shown on the terminal; the JSON has all."""


def as_json(report: DataReport) -> dict[str, Any]:
    """Everything that was found, ready for `json.dumps`."""
    return {
        "name": report.manifest.name,
        "images": len(report.manifest.rows),
        "trucks": _trucks(report),
        "station_days": _days(report),
        "undated": report.undated,
        "skipped": [
            {"image": _relative(skip, report), "reason": skip.reason} for skip in report.skips
        ],
        "labels": {
            "source": report.labels.source,
            "method": report.labels.method,
            "agreement": report.labels.agreement,
            "fleiss_kappa": report.kappa,
            "disputed": list(report.disputed),
            "unlabelled": report.labels.unlabelled,
        },
        "classes": {name: str(grade) for name, grade in report.description.classes.items()},
        "grades": {
            str(grade): {split or "unassigned": n for split, n in sorted(counts.items(), key=str)}
            for grade, counts in report.counts.items()
        },
        "duplicates": [
            {
                "images": [pair.first, pair.second],
                "splits": list(pair.splits),
                "labels": list(pair.labels),
                "differing_bits": pair.bits or 0,
                "same_pixels": pair.bits is None,
            }
            for pair in report.duplicates
        ],
        "grouping": report.grouping,
        "largest_group": round(report.largest_group, 4),
        "in_two_splits_as_allowed": report.apart,
        "faults": list(report.faults),
    }


def show(report: DataReport, console: Console) -> None:
    """Prints the report."""
    parts: list[RenderableType] = [
        _lines(
            f"{report.manifest.path}: {len(report.manifest.rows)} images, "
            f"{_trucks(report)} trucks, {_days(report)} station days",
            *_skips(report),
            *_labels(report),
        ),
        _grades(report),
        _lines(*_duplicates(report), *_grouping(report), *_faults(report)),
    ]
    console.print(Group(*parts), highlight=False)


def _skips(report: DataReport) -> list[str]:
    """How many images are left out for each reason, with the first of each."""
    kinds: dict[str, list[Skip]] = {}
    for skip in report.skips:
        kinds.setdefault(skip.reason, []).append(skip)
    lines = [f"Left out: {len(report.skips)}"] if kinds else ["All images can be read."]
    for reason, skips in list(kinds.items())[:_LISTED]:
        lines.append(f"  {len(skips)} x {reason}, as {_relative(skips[0], report)}")
    return lines + _more(len(kinds))


def _labels(report: DataReport) -> list[str]:
    labels = report.labels
    if labels.source == "truth":
        return [f"Labels from the column grade; {labels.unlabelled} images have none."]
    method = {
        "majority": f"the majority of votes, at least {labels.agreement:.0%}",
        "dawid-skene": f"Dawid and Skene, probability at least {labels.agreement:.0%}",
    }[labels.method]
    kappa = "not defined" if report.kappa is None else f"{report.kappa:.3f}"
    return [
        f"Labels by {method}; Fleiss' kappa of the experts {kappa}.",
        f"Set aside: {labels.disputed} disputed, {labels.unlabelled} without a vote.",
    ]


def _grades(report: DataReport) -> Table:
    """Readable, labelled images by grade and split."""
    total: Counter[str | None] = sum(report.counts.values(), Counter())
    columns: list[str | None] = [name for name in SPLITS if total[name]]
    if total[None] or not columns:
        columns.append(None)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("grade")
    stands_for: dict[str, list[str]] = {}
    for name, grade in report.description.renamed.items():
        stands_for.setdefault(grade, []).append(name)
    if stands_for:
        table.add_column("stands for")
    for column in columns:
        table.add_column(column or "no split", justify="right")
    for grade, counts in report.counts.items():
        # As Text: a class called "wet [/old]" would be taken for markup.
        names = [Text(", ".join(stands_for.get(grade, [])))] if stands_for else []
        table.add_row(str(grade), *names, *(str(counts[column]) for column in columns))
    return table


def _duplicates(report: DataReport) -> list[str]:
    same = sum(pair.bits is None for pair in report.duplicates)
    across = sum(pair.is_leak for pair in report.duplicates)
    near = len(report.duplicates) - same
    contradicting = [pair for pair in report.duplicates if pair.contradicts]
    pairs = f"{same} pairs with the same pixels, {near} nearly the same"
    of_these = f"{across} in two splits, {len(contradicting)} with two different labels"
    lines = [f"Duplicates: {pairs}; {of_these}."]
    lines += [
        f"  {pair.labels[0]} and {pair.labels[1]}: {pair}" for pair in contradicting[:_LISTED]
    ]
    return lines + _more(len(contradicting))


def _grouping(report: DataReport) -> list[str]:
    share = f"{report.largest_group:.0%}"
    lines = [f"Kept together: {report.grouping}; the largest group has {share} of the images."]
    lines += [
        f"In two splits, as this grouping allows: {count} {what}."
        for what, count in report.apart.items()
    ]
    if report.undated:
        lines.append(f"Without a capture time: {report.undated}; only their truck keeps these.")
    return lines


def _faults(report: DataReport) -> list[str]:
    faults = report.faults
    if not faults:
        return ["No faults."]
    lines = [f"Faults: {len(faults)}", *(f"  {fault}" for fault in faults[:_LISTED])]
    return lines + _more(len(faults))


def _more(count: int) -> list[str]:
    return [f"  and {count - _LISTED} more: --out FILE lists all"] if count > _LISTED else []


def _lines(*lines: str) -> Text:
    return Text("\n".join(lines))


def _relative(skip: Skip, report: DataReport) -> str:
    folder = report.manifest.folder
    return str(skip.path.relative_to(folder) if skip.path.is_relative_to(folder) else skip.path)


def _trucks(report: DataReport) -> int:
    return len({row.truck for row in report.manifest.rows})


def _days(report: DataReport) -> int:
    return len({splits.day_of(row) for row in report.manifest.rows} - {None})

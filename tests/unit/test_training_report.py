"""The report: what stands in its tables, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.grades import GRADES
from training import metrics
from training.errors import RunError
from training.experiments.published import ACCURACY
from training.report.build import OWN_FONT, _families, draw, folder_of
from training.report.course_table import courses
from training.report.tables import markdown, percent, points, table


def run(labels: list[int], trucks: list[str], **data: Any) -> dict[str, Any]:
    """A metrics.json of a model that mistakes every third image for the next grade."""
    truth = np.array(labels)
    guesses = np.where(np.arange(len(truth)) % 3 == 2, (truth + 1) % 5, truth)
    probabilities = 0.1 + 0.5 * np.eye(5, dtype=np.float32)[guesses]
    counts = {grade.value: labels.count(i) for i, grade in enumerate(GRADES)}
    return {
        "command": "cane-train evaluate",
        "date": "2026-11-23T12:00:00+00:00",
        "machine": "a machine",
        "versions": {"python": "3.11"},
        "model": {"classifier": "mobilenetv2", "size": 64, "seed": 1},
        "data": {
            "name": "<b>set</b>",
            "digest": "0" * 64,
            "images": len(labels),
            "trucks": len(set(trucks)),
            "labels": "votes",
            "label_method": "majority",
            "agreement": 0.6,
            "fleiss_kappa": 0.871,
            "disputed": 7,
            "unlabelled": 0,
            "classes": {},
            "grouping": "truck",
            "grades": counts,
            "splits": {"none": {"images": len(labels), "trucks": 3, "grades": counts}},
            **data,
        },
        "all": metrics.evaluate(probabilities, truth, trucks, threshold=0.5, rounds=50),
    }


def drawn(folder: Path, content: object) -> str:
    (folder / "metrics.json").write_text(json.dumps(content))
    return draw(folder, folder / "out").read_text()


def test_a_page_tells_the_data_and_escapes_names(tmp_path: Path) -> None:
    page = drawn(tmp_path, run([0, 1, 2, 3, 4] * 6, [f"T{i // 2}" for i in range(30)]))
    assert "MobileNetV2 on &lt;b&gt;set&lt;/b&gt;" in page
    assert "kappa of the experts 0.871. Set aside: 7 disputed" in page.replace("&#39;", "'")
    assert "66.7" in page
    assert "no split" in page


def test_a_page_tells_what_the_second_head_is_worth(tmp_path: Path) -> None:
    content = run([0, 1, 2, 3, 4] * 6, [f"T{i // 2}" for i in range(30)])
    assert "How much trash" not in drawn(tmp_path, content)
    figures = {
        "n": 24,
        "mean_absolute_error": 4.94,
        "of_the_guess_by_grade": 4.8,
        "better_by": -0.14,
        "better_by_ci": [-0.51, 0.21],
        "earns_its_place": False,
        "within_the_interval": 0.9,
        "mean_width": 22.4,
    }
    page = drawn(tmp_path, content | {"all_level": figures})
    assert "How much trash" in page
    assert "earn" not in page  # what decides that is not among these
    one_truck = figures | {"better_by_ci": None, "n": 2}
    page = drawn(tmp_path, content | {"validation_level": one_truck, "all_level": figures})
    assert "It does not: no bundle takes it along." in page
    tables = (tmp_path / "out" / "tables.md").read_text()
    assert "| Validation split | 4.9 | 4.8 | −0.1 | 22 | 90 % | 2 |" in tables
    assert "| All images | 4.9 | 4.8 | −0.1 (−0.5 … +0.2) | 22 | 90 % | 24 |" in tables


def test_a_warning_stands_at_the_head_of_the_page(tmp_path: Path) -> None:
    metrics = run([0, 1, 2, 3, 4] * 2, list("ABCDE") * 2)
    assert "too good" not in drawn(tmp_path, metrics)
    assert "too good" in drawn(tmp_path, {**metrics, "warnings": ["the figures are too good"]})


def test_one_truck_and_absent_grades_leave_gaps_and_not_zeros(tmp_path: Path) -> None:
    drawn(tmp_path, run([0, 0, 0, 1, 1, 1], ["T"] * 6, fleiss_kappa=None))
    rows = (tmp_path / "out" / "tables.md").read_text().splitlines()
    burnt = next(row for row in rows if row.startswith("| burn clean | –"))
    assert burnt.split(" | ")[1:5] == ["–"] * 4
    fresh = next(row for row in rows if row.startswith("| fresh clean | 100.0"))
    assert "(" not in fresh


def test_grades_that_stand_for_something_else_have_its_name(tmp_path: Path) -> None:
    page = drawn(tmp_path, run([0, 1] * 6, list("ABCDEF") * 2, classes={"glass": "fresh_clean"}))
    assert "glass" in page
    assert ">fresh clean" not in page


@pytest.mark.skipif(_families() == [OWN_FONT], reason="no Thai font is installed")
def test_classes_may_have_thai_names(tmp_path: Path) -> None:
    """Matplotlib warns of what its fonts cannot write, and warnings are errors here."""
    classes = {"อ้อยสดสะอาด": "fresh_clean", "อ้อยไฟไหม้": "burn_clean"}
    page = drawn(tmp_path, run([0, 2] * 6, list("ABCDEF") * 2, classes=classes))
    assert "อ้อยไฟไหม้" in page


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "has neither study.json nor metrics.json"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"accuracy": 0.9}', "not a study.json or metrics.json of this version"),
        ('{"rows": []}', "not a study.json or metrics.json of this version"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(RunError, match=told):
        draw(tmp_path, tmp_path / "out")


def test_reports_lie_beside_their_source(tmp_path: Path) -> None:
    assert folder_of(tmp_path) == tmp_path / "report"
    assert folder_of(tmp_path / "metrics.json") == tmp_path / "report"


def test_cells_show_figures_with_their_interval() -> None:
    figures = {"recall": 0.7516, "recall_ci": [0.7, 0.8049]}
    assert percent(figures, "recall").text == "75.2"
    assert percent(figures, "recall", of=0).text == "–"
    gain = {"gain": -0.021, "gain_ci": [-0.05, 0.01]}
    cell = points(gain, "gain")
    assert (cell.text, cell.interval) == ("−2.1", "−5.0 … +1.0")
    one = table("A", ["name", "gain"], [["a|b", cell]], note="Note.")
    assert markdown([one]).splitlines() == [
        "**A**",
        "",
        "| name | gain |",
        "| --- | ---: |",
        "| a\\|b | −2.1 (−5.0 … +1.0) |",
        "",
        "Note.",
    ]


def test_published_figures_are_the_studys() -> None:
    assert [100 * a for a in ACCURACY["mobilenetv2"].values()] == pytest.approx([75.2, 86.2, 98.0])
    assert [100 * a for a in ACCURACY["simple_dcnn"].values()] == pytest.approx([64.8, 66.9, 90.7])
    assert [100 * a for a in ACCURACY["resnet50v2"].values()] == pytest.approx([72.7, 82.5, 94.9])


def test_courses_say_where_the_validation_loss_was_lowest() -> None:
    curve = {
        "train_loss": [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0004],
        "val_loss": [1.2, 0.9, 0.7, 0.8, 0.9, 1.0, 1.1, 1.125],
        "val_accuracy": [0.4, 0.5, 0.6, 0.7, 0.7, 0.7, 0.75, 0.73],
    }
    run = {"model": "simple_dcnn", "arm": "augmented", "seed": 1}
    found = courses({"rows": [{"model": "colour_histogram"}, {**run, "curve": curve}]})
    assert found is not None
    (row,) = ([cell.text for cell in cells] for cells in found.rows)
    assert row[:3] == ["SimpleDCNN", "augmented", "1"]
    assert row[3:] == ["0.0004", "1.125", "0.700", "3 of 8", "73.0", "−2.0"]


def test_courses_of_one_epoch_and_of_none() -> None:
    curve = {"train_loss": [1.0], "val_loss": [0.0], "val_accuracy": [0.4]}
    run = {"model": "simple_dcnn", "arm": "augmented", "seed": 1}
    found = courses({"rows": [{**run, "curve": curve}]})
    assert found is not None
    assert [cell.text for cell in found.rows[0]][5:] == ["0.0000", "1 of 1", "40.0", "+0.0"]
    assert courses({"rows": [{"model": "colour_histogram"}]}) is None

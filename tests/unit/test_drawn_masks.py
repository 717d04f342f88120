"""Masks from annotation tools: the same drawing in each format, and what is wrong with a file."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle
from typer.testing import CliRunner

from training.cli import app
from training.data.description import Description
from training.data.drawn.label_studio import _brush
from training.data.manifest import Manifest

WIDTH, HEIGHT = 20, 10
STALK = (2, 1, 10, 5)
"""Left, top, right, bottom; trash covers part of it."""
TRASH = (6, 3, 14, 9)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "truck", "captured_at", "grade", "plate"])
        for name in ("a.png", "b.png"):
            cv2.imwrite(str(folder / "images" / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
            row = [f"images/{name}", name, "2026-01-01T03:00:00+00:00", "fresh_trash", "60-1"]
            writer.writerow(row)
    return folder


def expected() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, (left, top, right, bottom) in ((1, STALK), (2, TRASH)):
        mask[top:bottom, left:right] = value
    return mask


def corners(box: tuple[int, int, int, int]) -> list[tuple[float, float]]:
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def bitmap(box: tuple[int, int, int, int]) -> np.ndarray:
    found = np.zeros((HEIGHT, WIDTH), bool)
    left, top, right, bottom = box
    found[top:bottom, left:right] = True
    return found


def coco(segment: Callable[[tuple[int, int, int, int]], Any]) -> str:
    return json.dumps(
        {
            "images": [{"id": 7, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
            "categories": [{"id": 1, "name": "stalk"}, {"id": 2, "name": "Trash"}],
            "annotations": [
                {"image_id": 7, "category_id": n, "segmentation": segment(box)}
                for n, box in ((1, STALK), (2, TRASH))
            ],
        }
    )


def coco_polygons() -> str:
    return coco(lambda box: [[c for corner in corners(box) for c in corner]])


def coco_rle() -> str:
    def coded(box: tuple[int, int, int, int]) -> dict[str, Any]:
        found = rle.encode(np.asfortranarray(bitmap(box).astype(np.uint8)))
        return {"size": found["size"], "counts": found["counts"].decode()}

    return coco(coded)


def coco_run_lengths() -> str:
    return coco(lambda box: {"size": [HEIGHT, WIDTH], "counts": runs(bitmap(box).ravel(order="F"))})


def runs(flat: np.ndarray) -> list[int]:
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    found = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *found] if flat[0] else found


def cvat(shape: Callable[[str, tuple[int, int, int, int], int], str]) -> str:
    # Later in the file and yet below: the order is z_order's.
    shapes = shape("trash", TRASH, 1) + shape("stalk", STALK, 0)
    return (
        f'<annotations><version>1.1</version><image id="0" name="images/a.png" width="{WIDTH}" '
        f'height="{HEIGHT}">{shapes}<tag label="seen"/></image></annotations>'
    )


def cvat_polygons() -> str:
    def polygon(label: str, box: tuple[int, int, int, int], z: int) -> str:
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners(box))
        return f'<polygon label="{label}" points="{points}" z_order="{z}"/>'

    return cvat(polygon)


def cvat_boxes() -> str:
    return cvat(
        lambda label, b, z: (
            f'<box label="{label}" xtl="{b[0]}" ytl="{b[1]}" xbr="{b[2]}" ybr="{b[3]}" '
            f'z_order="{z}"/>'
        )
    )


def cvat_masks() -> str:
    def mask(label: str, box: tuple[int, int, int, int], z: int) -> str:
        # A rectangle a row higher than what is painted.
        left, top, right, bottom = box
        coded = ",".join(map(str, runs(bitmap(box)[top - 1 : bottom, left:right].ravel())))
        return (
            f'<mask label="{label}" rle="{coded}" left="{left}" top="{top - 1}" '
            f'width="{right - left}" height="{bottom - top + 1}" z_order="{z}"/>'
        )

    return cvat(mask)


def label_studio(kind: str, value: Callable[[tuple[int, int, int, int]], dict[str, Any]]) -> str:
    def result(label: str, box: tuple[int, int, int, int]) -> dict[str, Any]:
        size = {"original_width": WIDTH, "original_height": HEIGHT}
        return {**size, "type": kind, "value": {kind: [label], **value(box)}}

    drawn = [result("stalk", STALK), result("trash", TRASH)]
    old = [result("trash", STALK)]
    return json.dumps(
        [
            {
                "data": {"image": "/data/upload/3/0a1b2c3d-a.png"},
                "annotations": [
                    {"result": old},
                    {"result": drawn},
                    {"result": old, "was_cancelled": True},
                ],
            },
            {"data": {"image": "/data/local-files/?d=images/b.png"}, "annotations": []},
        ]
    )


def per_cent(x: float, y: float) -> list[float]:
    return [100 * x / WIDTH, 100 * y / HEIGHT]


def label_studio_polygons() -> str:
    return label_studio(
        "polygonlabels", lambda box: {"points": [per_cent(*c) for c in corners(box)]}
    )


def label_studio_boxes() -> str:
    def value(box: tuple[int, int, int, int]) -> dict[str, float]:
        (x, y), (width, height) = per_cent(*box[:2]), per_cent(box[2] - box[0], box[3] - box[1])
        return {"x": x, "y": y, "width": width, "height": height, "rotation": 0}

    return label_studio("rectanglelabels", value)


def label_studio_brush() -> str:
    return label_studio("brushlabels", lambda box: {"format": "rle", "rle": brush(bitmap(box))})


def brush(painted: np.ndarray) -> list[int]:
    """Codes alpha as Label Studio does, repeated runs and single values mixed."""
    values = np.zeros((*painted.shape, 4), np.uint8)
    values[painted] = 255
    flat = values.ravel()
    sizes = (2, 4, 8, 16)
    bits = f"{len(flat):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    at = 0
    for run in runs(np.diff(flat.astype(int), prepend=int(flat[0])) != 0) if len(flat) else []:
        part = flat[at : at + run]
        if not run:
            continue
        size = next(i for i, size in enumerate(sizes) if run - 1 < 2**size)
        same = len(set(part.tolist())) == 1
        bits += f"{int(same)}{size:02b}{run - 1:0{sizes[size]}b}"
        bits += "".join(f"{int(v):08b}" for v in (part[:1] if same else part))
        at += run
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


EXPORTS: dict[str, tuple[str, Callable[[], str]]] = {
    "COCO polygons": ("coco", coco_polygons),
    "COCO RLE": ("coco", coco_rle),
    "COCO run lengths": ("coco", coco_run_lengths),
    "CVAT polygons": ("cvat", cvat_polygons),
    "CVAT boxes": ("cvat", cvat_boxes),
    "CVAT masks": ("cvat", cvat_masks),
    "Label Studio polygons": ("label-studio", label_studio_polygons),
    "Label Studio boxes": ("label-studio", label_studio_boxes),
    "Label Studio brush": ("label-studio", label_studio_brush),
}


def imported(data: Path, export: Path, tool: str, *further: str, code: int = 0) -> str:
    arguments = ["--data", str(data), "--from", str(export), "--tool", tool, *further]
    result = CliRunner().invoke(app, ["data", "masks", *arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize("name", EXPORTS)
def test_the_same_drawing_makes_the_same_mask(data: Path, tmp_path: Path, name: str) -> None:
    tool, export = EXPORTS[name]
    (tmp_path / "export").write_text(export())
    assert imported(data, tmp_path / "export", tool).splitlines()[0] == "1 masks"
    manifest = Manifest.read(data)
    assert [row.mask is not None for row in manifest.rows] == [True, False]
    assert [cells["plate"] for cells in manifest.cells] == ["60-1", "60-1"]
    found = cv2.imread(str(data / str(manifest.rows[0].mask)), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(np.asarray(found), expected())
    share = 100 * (expected() == 2).sum() / (expected() > 0).sum()
    assert manifest.rows[0].trash_share == pytest.approx(share, abs=0.01)
    assert manifest.rows[1].trash_share is None


@pytest.mark.parametrize(
    ("further", "to_name", "says"),
    [
        ({"truck": "A-12"}, None, "1 masks"),
        ({"truck": "A-12"}, "image", "1 masks"),
        ({"before": "/data/upload/3/0a1b2c3d-b.png"}, "image", "1 masks"),
        ({"before": "/data/upload/3/0a1b2c3d-b.png"}, None, "2 fields of task 7 name an image"),
        ({"image": ["a.png", "b.png"]}, None, "0 fields of task 7 name an image"),
    ],
)
def test_the_field_of_the_image_is_found_among_others(
    data: Path, tmp_path: Path, further: dict[str, Any], to_name: str | None, says: str
) -> None:
    first, *others = json.loads(label_studio_polygons())
    first |= {"id": 7, "data": {**further, **first["data"], **further}}
    if to_name is not None:
        for result in first["annotations"][1]["result"]:
            result["to_name"] = to_name
    (tmp_path / "export").write_text(json.dumps([first, *others]))
    code = 0 if says.endswith("masks") else 2
    assert says in imported(data, tmp_path / "export", "label-studio", code=code)
    if not code:
        assert [row.mask is not None for row in Manifest.read(data).rows] == [True, False]


def test_a_share_that_is_known_already_stands(data: Path, tmp_path: Path) -> None:
    file = data / "manifest.csv"
    first, *others = file.read_text().splitlines()
    file.write_text("\n".join([f"{first},trash_share", *(f"{row},12.5" for row in others), ""]))
    (tmp_path / "export").write_text(coco_polygons())
    for _ in range(2):
        imported(data, tmp_path / "export", "coco")
        assert [row.trash_share for row in Manifest.read(data).rows] == [12.5, 12.5]


def test_drawn_anew_a_mask_has_another_share(data: Path, tmp_path: Path) -> None:
    def share() -> float | None:
        (tmp_path / "export").write_text(json.dumps(export))
        imported(data, tmp_path / "export", "coco")
        return Manifest.read(data).rows[0].trash_share

    export = json.loads(coco_polygons())
    first = share()
    assert first is not None
    whole = export["annotations"]
    export["annotations"] = [one for one in whole if one["category_id"] == 1]  # stalk alone
    assert share() == 0
    export["annotations"] = whole
    assert share() == first


def test_a_share_is_of_the_graded_area(data: Path, tmp_path: Path) -> None:
    (tmp_path / "export").write_text(coco_polygons())
    # Left of the trash there is stalk alone, above both there is nothing.
    for area, shown in (((0.0, 0.0, 0.3, 1.0), 0.0), ((0.0, 0.0, 1.0, 0.1), None)):
        copied = shutil.copytree(data, tmp_path / str(shown))
        Description(graded_area=area, shows="frame").write(copied)
        imported(copied, tmp_path / "export", "coco")
        assert Manifest.read(copied).rows[0].trash_share == shown


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_any_brush_stroke_is_decoded(painted: list[bool]) -> None:
    row = np.array([painted])
    assert np.array_equal(_brush(brush(row), len(painted), 1), row)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_other_bytes_are_a_value_error(coded: bytes) -> None:
    """Whatever the header claims: never endless, never gigabytes."""
    with contextlib.suppress(ValueError):
        _brush(list(coded), 3, 2)


def test_further_labels_are_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "export").write_text(coco_polygons().replace("Trash", "ใบ"))
    said = imported(data, tmp_path / "export", "coco", code=2)
    assert "has a region called 'ใบ'; say what it is" in said
    assert not (data / "masks").exists()
    imported(data, tmp_path / "export", "coco", "--label", "ใบ=2")
    assert "write NAME=VALUE" in imported(
        data, tmp_path / "export", "coco", "--label", "ใบ=9", code=2
    )


@pytest.mark.parametrize(
    ("tool", "text", "says"),
    [
        ("coco", "{}", "not an export of coco"),
        ("coco", "<xml/>", "not an export of coco"),
        ("cvat", "<other/>", "its root is other"),
        ("cvat", coco_polygons(), "not an export of cvat"),
        ("cvat", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "not an export of cvat"),
        ("label-studio", "{}", "has a region in it"),
        ("label-studio", '[{"a": 1}]', "not an export of label-studio"),
        ("coco", coco_polygons().replace(f'"width": {WIDTH}', '"width": 99'), "is 99 x 10 there"),
        ("coco", coco_polygons().replace("a.png", "z.png"), "it names z.png, for one"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(
    data: Path, tmp_path: Path, tool: str, text: str, says: str
) -> None:
    (tmp_path / "export").write_text(text)
    before = (data / "manifest.csv").read_bytes()
    said = imported(data, tmp_path / "export", tool, code=2)
    assert says in said
    assert len(said.splitlines()) == 1
    assert (data / "manifest.csv").read_bytes() == before


def test_a_missing_export_and_a_name_that_fits_two_images(data: Path, tmp_path: Path) -> None:
    assert "No such file" in imported(data, tmp_path / "none", "coco", code=2)
    manifest = data / "manifest.csv"
    (data / "more").mkdir()
    (data / "more" / "a.png").write_bytes((data / "images" / "a.png").read_bytes())
    row = "more/a.png,c,2026-01-02T03:00:00+00:00,fresh_trash,60-1\n"
    manifest.write_text(manifest.read_text() + row)
    (tmp_path / "export").write_text(coco_polygons())
    assert "a.png fits 2 rows" in imported(data, tmp_path / "export", "coco", code=2)
    # By its path it is one of them.
    (tmp_path / "export").write_text(cvat_polygons())
    imported(data, tmp_path / "export", "cvat")

"""Small model bundles for tests: one whose network is a table, and copies of others, changed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_agent.grades import GRADES

SIDE: Final = 32
"""Width and height of a tiny model's input in pixels."""
STEP: Final = 64
"""Grey levels from one row of the table to the next."""
SURE: Final = (0.9, 0.025, 0.025, 0.025, 0.025)


LEVEL: Final = (5.0, 12.0, 22.5)
"""Low, middle and high of a load with little trash."""

Rows = Sequence[Sequence[float]]


def table_model(rows: Rows, levels: Rows | None = None) -> onnx.ModelProto:
    """A network that answers with row `mean grey level // STEP` of the table.

    levels: a second table, for a second output. A picture too bright for the table makes ONNX
    Runtime fail, while darker ones are graded.
    """
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])
    out = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(GRADES)])
    nodes = [
        helper.make_node("Cast", ["image"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "step"], ["steps"]),
        helper.make_node("Cast", ["steps"], ["row"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "row"], ["probabilities"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(STEP, np.float32), "step"),
        numpy_helper.from_array(np.array(rows, np.float32), "table"),
    ]
    outputs = [out]
    if levels is not None:
        outputs.append(helper.make_tensor_value_info("level", TensorProto.FLOAT, ["batch", 3]))
        nodes.append(helper.make_node("Gather", ["levels table", "row"], ["level"]))
        constants.append(numpy_helper.from_array(np.array(levels, np.float32), "levels table"))
    graph = helper.make_graph(nodes, "table", [image], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def level_spec(**changes: Any) -> dict[str, Any]:
    """A manifest's `level` of an estimate that earns its place."""
    figures = {
        "n": 40,
        "mean_absolute_error": 4.0,
        "of_the_guess_by_grade": 9.0,
        "better_by": 5.0,
        "better_by_ci": [4.2, 5.9],
        "within_the_interval": 0.925,
        "mean_width": 17.0,
    }
    spec = {"coverage": 0.9, "margin": 1.5, "golden_tolerance": 0.2, "validation": figures}
    return spec | changes


def table_manifest(model: bytes, rows: Rows, levels: Rows | None = None) -> dict[str, Any]:
    """The manifest of such a network; a black picture is its golden image."""
    golden: dict[str, Any] = {
        "path": "golden/black.png",
        "grade": "undefined",
        "probabilities": list(rows[0]),
    }
    more: dict[str, Any] = {}
    if levels is not None:
        golden["level"] = list(levels[0])
        more = {"format": 2, "level": level_spec()}
    plain = {
        "format": 1,
        "name": "table",
        "version": "1",
        "created_at": "2026-01-15T00:00:00Z",
        "description": "Answers by the mean grey level.",
        "labels": list(GRADES),
        "input": {"width": SIDE, "height": SIDE},
        "precision": "fp32",
        "temperature": 1.0,
        "confidence_threshold": 0.6,
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "golden": [golden],
        "golden_tolerance": 0.002,
        "training": {
            "command": "none",
            "data_digest": "none",
            "seed": 0,
            "machine": "none",
            "versions": {},
            "metrics": {},
        },
    }
    return plain | more


def write_table_bundle(
    path: Path,
    rows: Rows = (SURE,),
    model: onnx.ModelProto | None = None,
    *,
    levels: Rows | None = None,
) -> Path:
    """Writes the bundle of a table, or one with another graph in its place."""
    graph = (model or table_model(rows, levels)).SerializeToString()
    _, black = cv2.imencode(".png", np.zeros((SIDE, SIDE, 3), np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(table_manifest(graph, rows, levels)))
        archive.writestr("model.onnx", graph)
        archive.writestr("golden/black.png", black.tobytes())
    return path


def with_members(source: Path, path: Path, members: Mapping[str, bytes]) -> Path:
    """Copies a bundle with those members in the place of its own."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, members.get(name) or old.read(name))
    return path


def with_manifest(source: Path, path: Path, **changes: Any) -> Path:
    """Copies a bundle with other values in its manifest."""
    with zipfile.ZipFile(source) as old:
        manifest = json.loads(old.read("manifest.json"))
    return with_members(source, path, {"manifest.json": json.dumps(manifest | changes).encode()})

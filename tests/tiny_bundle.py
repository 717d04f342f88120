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


def table_model(rows: Sequence[Sequence[float]]) -> onnx.ModelProto:
    """A network that answers with row `mean grey level // STEP` of the table.

    A picture too bright for the table makes ONNX Runtime fail, while darker ones are graded.
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
    graph = helper.make_graph(nodes, "table", [image], [out], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def table_manifest(model: bytes, rows: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The manifest of such a network; a black picture is its golden image."""
    return {
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
        "golden": [
            {"path": "golden/black.png", "grade": "undefined", "probabilities": list(rows[0])}
        ],
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


def write_table_bundle(
    path: Path, rows: Sequence[Sequence[float]] = (SURE,), model: onnx.ModelProto | None = None
) -> Path:
    """Writes the bundle of a table, or one with another graph in its place."""
    graph = (model or table_model(rows)).SerializeToString()
    _, black = cv2.imencode(".png", np.zeros((SIDE, SIDE, 3), np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(table_manifest(graph, rows)))
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

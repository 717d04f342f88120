"""From a run of `cane-train fit` to a verified bundle: the story of `cane-export bundle`."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import ValidationError

from edge_agent.grades import GRADES
from edge_agent.inference.manifest import (
    GoldenImage,
    GradedArea,
    InputSpec,
    Manifest,
    TrainingRecord,
)
from exporter.check import check
from exporter.errors import ExportError
from exporter.graph import INPUT_NAME, OUTPUT_NAME, export
from exporter.parity import compare, run
from training import provenance
from training.data.dataset import Dataset, ImageSet
from training.model import TrainedModel
from training.provenance import command_line

Precision = Literal["fp32", "fp16-weights"]

GOLDEN_PER_GRADE: Final = 2
GOLDEN_TOLERANCE: Final = 0.002
"""CPUs sum in different orders; in 32 bits that stays under 1e-4. A wrong model is far off."""

_ZIP_DATE: Final = (1980, 1, 1, 0, 0, 0)  # a bundle is a function of its content


def make(
    checkpoint: Path,
    data: Path,
    out: Path,
    *,
    name: str,
    version: str,
    description: str,
    precision: Precision = "fp16-weights",
    say: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Exports, compares with torch on the test split, adds golden images, writes and checks OUT.

    OUT appears only when every check has passed. Raises ExportError, TrainingError or BundleError.
    """
    model = TrainedModel.load(checkpoint)
    dataset = Dataset.open(data)
    trained_on = model.card.training.get("data", {}).get("digest")
    if dataset.digest != trained_on:
        raise ExportError(
            f"{data}: is not the data that {checkpoint} was trained on (digest "
            f"{dataset.digest[:12]}, not {str(trained_on)[:12]}), so its test split is not safe to "
            "use; give the folder given to cane-train fit"
        )
    test = dataset.load("test", model.card.size)
    say(f"exporting {model.card.classifier}, {model.card.size} px, {precision}")
    graph = export(model, half_weights=precision == "fp16-weights")
    parity = compare(model, graph, test)
    say(str(parity))
    chosen = _golden(test)
    served = run(graph.model, test.images[chosen])
    try:
        manifest = Manifest(
            name=name,
            version=version,
            created_at=datetime.now(UTC).replace(microsecond=0),
            description=description,
            labels=GRADES,
            input=InputSpec(
                name=INPUT_NAME,
                width=model.card.size,
                height=model.card.size,
                graded_area=_graded_area(dataset),
            ),
            output_name=OUTPUT_NAME,
            precision=precision,
            temperature=model.card.temperature,
            confidence_threshold=model.card.confidence_threshold,
            model_sha256=hashlib.sha256(graph.model).hexdigest(),
            golden=tuple(
                GoldenImage(
                    path=_golden_name(number, test, image),
                    grade=GRADES[int(test.labels[image])],
                    probabilities=tuple(_fraction(p) for p in row),
                )
                for number, (image, row) in enumerate(zip(chosen, served, strict=True))
            ),
            golden_tolerance=GOLDEN_TOLERANCE,
            training=_record(model, dataset),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ExportError(f"manifest: {where} {first['input']!r}: {first['msg']}") from error
    pictures = {
        golden.path: _png(test.images[image])
        for golden, image in zip(manifest.golden, chosen, strict=True)
    }
    _write(out, manifest, graph.model, pictures)
    say(f"wrote {out}, {out.stat().st_size / 1e6:.2f} MB")
    return manifest


def _graded_area(dataset: Dataset) -> GradedArea:
    """As the data says, else the agent's own default."""
    if dataset.graded_area is None:
        return GradedArea()
    left, top, right, bottom = dataset.graded_area
    return GradedArea(left=left, top=top, right=right, bottom=bottom)


def _golden(test: ImageSet) -> list[int]:
    """The first images of each grade, in the order of the manifest: easy and hard as they come."""
    return [
        int(image)
        for grade in range(len(GRADES))
        for image in np.flatnonzero(test.labels == grade)[:GOLDEN_PER_GRADE]
    ]


def _golden_name(number: int, test: ImageSet, image: int) -> str:
    return f"golden/{number:02d}-{GRADES[int(test.labels[image])].value}.png"


def _record(model: TrainedModel, dataset: Dataset) -> TrainingRecord:
    metrics: dict[str, Any] = model.card.training
    figures: dict[str, float] = {}
    for key in ("validation", "test", "test_truth"):
        if key not in metrics:
            continue
        for name in ("n", "accuracy", "macro_f1", "calibration_error", "asks_a_person"):
            figures[f"{key}_{name}"] = float(metrics[key][name])
        for grade, values in metrics[key]["grades"].items():
            figures[f"{key}_recall_{grade}"] = float(values["recall"])
            figures[f"{key}_precision_{grade}"] = float(values["precision"])
    return TrainingRecord(
        command=f"{metrics['command']} && {command_line()}",
        data_digest=dataset.digest,
        seed=int(metrics["config"]["seed"]),
        machine=str(metrics["machine"]),
        versions={**metrics["versions"], **provenance.versions("onnx", "onnxruntime")},
        metrics=figures,
    )


def _fraction(probability: float) -> float:
    """A float32 softmax may exceed 1 by a rounding error."""
    return min(max(round(float(probability), 7), 0.0), 1.0)


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _write(out: Path, manifest: Manifest, model: bytes, pictures: dict[str, bytes]) -> None:
    """Writes beside OUT, checks what lies there as a station would, and renames."""
    members = {
        "manifest.json": manifest.model_dump_json(indent=2).encode(),
        "model.onnx": model,
        **pictures,
    }
    temporary = out.with_name(f".{out.name}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, content in members.items():
                info = zipfile.ZipInfo(name, _ZIP_DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, content)
        check(temporary)
        temporary.replace(out)
    except OSError as error:
        raise ExportError(f"{out}: {error.strerror or error}; choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)

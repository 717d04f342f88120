"""From a run of `cane-train fit` to a verified bundle: the story of `cane-export bundle`."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import onnx
from pydantic import TypeAdapter, ValidationError

from edge_agent.grades import GRADES
from edge_agent.inference.manifest import (
    FORMAT,
    FORMAT_WITH_LEVEL,
    GradedArea,
    InputSpec,
    Manifest,
    Name,
    TrainingRecord,
    Version,
)
from exporter import metadata, mixture, model_card
from exporter.check import check
from exporter.errors import ExportError
from exporter.golden import Golden, golden
from exporter.graph import INPUT_NAME, OUTPUT_NAME
from exporter.level import decided, spec
from exporter.limits import GOLDEN_TOLERANCE
from exporter.precision import Form, Wanted, choose
from exporter.quantization import CALIBRATION_IMAGES
from training import provenance
from training.data.dataset import Dataset, ImageSet
from training.data.description import Area
from training.data.manifest import Split
from training.model import TrainedModel
from training.outputs import make_way, whole
from training.source import Source

_ZIP_DATE: Final = (1980, 1, 1, 0, 0, 0)  # a bundle is a function of its content
_NO_DIGEST: Final = "0" * 64


@dataclass(frozen=True)
class Naming:
    """What a bundle is called. description: one sentence for those who choose it.

    Raises ExportError for a name or a version that no manifest may have.
    """

    name: str
    version: str
    description: str

    def __post_init__(self) -> None:
        for given, form, rule, option in (
            (self.name, Name, "small letters, digits and . _ -", "--name"),
            (self.version, Version, "letters, digits and . + _ -", "--model-version"),
        ):
            try:
                TypeAdapter(form).validate_python(given)
            except ValidationError:
                raise ExportError(
                    f"{option} {given!r}: may have {rule}, a letter or digit first; give another"
                ) from None


def make(
    checkpoint: Path,
    data: Path,
    out: Path,
    naming: Naming,
    *,
    precision: Wanted = "auto",
    graded_area: Area | None = None,
    without_level: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Exports, compares with torch, chooses the precision, adds golden images, writes and checks.

    The test split is not read. OUT appears only when every check has passed.
    graded_area: for data whose dataset.json names none. without_level: leave the second head out.
    Raises ExportError, TrainingError or BundleError.
    """
    source = Source.open(checkpoint, data)
    dataset = source.dataset
    area = _graded_area(dataset, graded_area)
    make_way(out)
    if renamed := dataset.description.renamed:
        slots = ", ".join(f"{name} as {grade}" for name, grade in renamed.items())
        say(f"note: the labels of {data} had other names ({slots}); the model card says so")
    model = decided(source, leave_out=without_level, say=say)
    size = model.card.size
    say(f"exporting {model.card.classifier}, {size} px, precision {precision}")

    def load(split: Split, at_most: int | None = None) -> ImageSet:
        images = dataset.load(split, size, at_most=at_most)
        if images.told_of_skips:
            say(f"{split}: {images.told_of_skips}")
        return images

    validation = load("val")
    form = choose(model, precision, validation, lambda: load("train", CALIBRATION_IMAGES), say=say)
    samples = golden(form.model, validation)
    manifest = _manifest(naming, model, dataset, area, form, samples)
    graph = metadata.stamped(form.model, manifest)
    digest = hashlib.sha256(graph).hexdigest()
    manifest = manifest.model_copy(update={"model_sha256": digest})
    _write(out, manifest, graph, samples.pictures)
    say(f"wrote {out}, {form.precision}, {out.stat().st_size / 1e6:.2f} MB")
    return manifest


def _graded_area(dataset: Dataset, given: Area | None) -> GradedArea:
    """What dataset.json says, or what was given where it says nothing."""
    found = dataset.graded_area
    if found is None and given is None:
        raise ExportError(
            f"{dataset.manifest.folder}: dataset.json names no graded_area, so an agent would not "
            "know which part of a frame to show the model; give --graded-area LEFT,TOP,RIGHT,BOTTOM"
            " (0,0,1,1 is the whole frame)"
        )
    if found is not None and given is not None and found != given:
        raise ExportError(
            f"--graded-area {given} contradicts {dataset.manifest.folder}/dataset.json, which says "
            f"{found}; leave the option out"
        )
    left, top, right, bottom = found or given or (0.0, 0.0, 1.0, 1.0)
    try:
        return GradedArea(left=left, top=top, right=right, bottom=bottom)
    except ValidationError as error:
        raise ExportError(f"graded area {found or given}: {error.errors()[0]['msg']}") from error


def _manifest(
    naming: Naming,
    model: TrainedModel,
    dataset: Dataset,
    area: GradedArea,
    form: Form,
    samples: Golden,
) -> Manifest:
    """The manifest, still without the digest of the graph, which holds some of its values."""
    size = model.card.size
    level = spec(model, form.precision)
    try:
        return Manifest(
            format=FORMAT if level is None else FORMAT_WITH_LEVEL,
            name=naming.name,
            version=naming.version,
            created_at=datetime.now(UTC).replace(microsecond=0),
            description=naming.description,
            labels=GRADES,
            input=InputSpec(name=INPUT_NAME, width=size, height=size, graded_area=area),
            output_name=OUTPUT_NAME,
            level=level,
            precision=form.precision,
            stored_values=metadata.stored_values(onnx.load_model_from_string(form.model)),
            parity=form.parity,
            precision_gate=form.gate,
            int8=form.int8,
            temperature=model.card.temperature,
            confidence_threshold=model.card.confidence_threshold,
            model_sha256=_NO_DIGEST,
            golden=samples.images,
            golden_tolerance=GOLDEN_TOLERANCE[form.precision],
            training=_record(model, dataset),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ExportError(f"manifest: {where} {first['input']!r}: {first['msg']}") from error


def _record(model: TrainedModel, dataset: Dataset) -> TrainingRecord:
    metrics: dict[str, Any] = model.card.training
    figures: dict[str, float] = {}
    for key in ("validation", "test", "test_truth"):
        found = metrics.get(key, {})
        for name in ("n", "accuracy", "macro_f1", "calibration_error", "asks_a_person"):
            if found.get(name) is not None:
                figures[f"{key}_{name}"] = float(found[name])
        for grade, values in found.get("grades", {}).items():
            # A grade without an image has no recall: runs of cane-train 0.1.0 say 0.
            if values["n"] and values["recall"] is not None:
                figures[f"{key}_recall_{grade}"] = float(values["recall"])
            if values["precision"] is not None:
                figures[f"{key}_precision_{grade}"] = float(values["precision"])
    figures |= mixture.figures(metrics)
    rows = dataset.manifest.rows
    return TrainingRecord(
        command=f"{metrics['command']} && {provenance.command_line()}",
        data_digest=dataset.digest,
        data_name=dataset.manifest.name,
        images=len(rows),
        trucks=len({row.truck for row in rows}),
        splits=dict(Counter(str(row.split) for row in rows)),
        classes=dataset.description.renamed,
        seed=int(metrics["config"]["seed"]),
        machine=str(metrics["machine"]),
        versions={**metrics["versions"], **provenance.versions("onnx", "onnxruntime")},
        metrics=figures,
    )


def _write(out: Path, manifest: Manifest, model: bytes, pictures: dict[str, bytes]) -> None:
    """Writes beside OUT, checks what lies there as a station would, and renames."""
    members = {
        # What an agent of format 1 does not know must not be there, not even as null.
        "manifest.json": manifest.model_dump_json(indent=2, exclude_none=True).encode(),
        model_card.NAME: model_card.render(manifest).encode(),
        "model.onnx": model,
        **pictures,
    }
    try:
        with whole(out) as new:
            with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
                for name, content in members.items():
                    info = zipfile.ZipInfo(name, _ZIP_DATE)
                    info.compress_type = zipfile.ZIP_DEFLATED
                    info.external_attr = 0o644 << 16
                    archive.writestr(info, content)
            check(new)
    except OSError as error:
        raise ExportError(f"{out}: {error.strerror or error}; choose another --out") from error

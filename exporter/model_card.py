"""The model card (Mitchell et al. 2019, arXiv:1810.03993): the manifest for people."""

from __future__ import annotations

from typing import Final

from edge_agent.grades import GRADES
from edge_agent.inference.level import LevelFigures
from edge_agent.inference.manifest import Manifest
from exporter import mixture

NAME: Final = "model-card.md"

_SPLITS: Final = {
    "validation": "validation",
    "test": "test",
    "test_truth": "test, against the truth",
}


def render(manifest: Manifest) -> str:
    """The card as Markdown: nothing in it that the manifest does not say."""
    return (
        "\n\n".join(
            part
            for part in (
                f"# {manifest.name} {manifest.version}",
                manifest.description,
                _use(manifest),
                _form(manifest),
                _data(manifest),
                _figures(manifest),
                _mixture(manifest),
                _level(manifest),
                _origin(manifest),
            )
            if part
        )
        + "\n"
    )


def _use(manifest: Manifest) -> str:
    spec, area = manifest.input, manifest.input.graded_area
    return (
        "## What it is for\n\n"
        f"Tells which of {len(GRADES)} grades a load is ({', '.join(manifest.labels)}) from one "
        f"frame of the camera above it: the part from {area.left:.0%} to {area.right:.0%} of its "
        f"width and {area.top:.0%} to {area.bottom:.0%} of its height, resized by area to "
        f"{spec.width} x {spec.height} px, RGB. Below a confidence of "
        f"{manifest.confidence_threshold:.4f} a person is asked.\n\n"
        "It has been measured on the data below and on nothing else: another camera, another "
        "height of mounting, another season or region needs figures of its own before growers "
        "are paid by it."
    )


def _form(manifest: Manifest) -> str:
    stored = ", ".join(f"{n} {kind}" for kind, n in manifest.stored_values.items())
    lines = [f"- Precision: {manifest.precision}. Values stored: {stored}."]
    if manifest.parity is not None:
        lines.append(
            f"- Before quantisation ONNX Runtime is within {manifest.parity.max_difference:.1e} of "
            f"torch on {manifest.parity.images} validation images, in probability; every decision "
            "is the same."
            if manifest.precision == "int8"
            else f"- ONNX Runtime is within {manifest.parity.max_difference:.1e} of torch with the "
            f"same weights on {manifest.parity.images} validation images, in probability; every "
            "decision is the same."
        )
        if manifest.parity.max_level_difference is not None:
            lines.append(
                f"- The level of the same is within {manifest.parity.max_level_difference:.1e} "
                "points."
            )
    if manifest.precision_gate is not None:
        lines.append(f"- {manifest.precision_gate.reason}.")
    if manifest.int8 is not None:
        lines.append(
            f"- Ranges from {manifest.int8.calibration_images} training images; in 32 bits stay "
            f"{', '.join(manifest.int8.float_operators)}."
        )
    of_level = f", and within {manifest.level.golden_tolerance} points" if manifest.level else ""
    lines.append(
        f"- Must reproduce its {len(manifest.golden)} golden images within "
        f"{manifest.golden_tolerance}, in probability{of_level}."
    )
    return "## What is in the file\n\n" + "\n".join(lines)


def _data(manifest: Manifest) -> str:
    data = manifest.training
    splits = ", ".join(f"{count} {name}" for name, count in data.splits.items())
    text = (
        f"## What it was trained on\n\n{data.data_name or 'unnamed'}: {data.images} images of "
        f"{data.trucks} trucks ({splits}). Digest `{data.data_digest}`."
    )
    if data.classes:
        slots = ", ".join(f"{name} as {grade}" for name, grade in data.classes.items())
        text += (
            f"\n\n**The labels had other names where the data came from: {slots}.** Where these "
            "are not loads of cane, the grades are slots, and this model grades no cane."
        )
    return text


def _figures(manifest: Manifest) -> str:
    metrics = manifest.training.metrics
    named = {key: name for key, name in _SPLITS.items() if f"{key}_accuracy" in metrics}
    if not named:
        return ""
    head = "| split | images | accuracy | macro F1 | calibration error | asks a person |"
    rows = [
        f"| {name} | {metrics[f'{key}_n']:.0f} | "
        + " | ".join(
            _cell(metrics, f"{key}_{figure}")
            for figure in ("accuracy", "macro_f1", "calibration_error", "asks_a_person")
        )
        + " |"
        for key, name in named.items()
    ]
    key, name = list(named.items())[-1]
    grades = [
        f"| {grade} | {_cell(metrics, f'{key}_precision_{grade}')} | "
        f"{_cell(metrics, f'{key}_recall_{grade}')} |"
        for grade in manifest.labels
    ]
    table = "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])
    by_grade = "\n".join(["| grade | precision | recall |", "| --- | --- | --- |", *grades])
    return (
        f"## How good it is\n\nFigures of the trained network, before the form above.\n\n{table}"
        f"\n\nBy grade ({name}):\n\n{by_grade}"
    )


def _mixture(manifest: Manifest) -> str:
    shares = mixture.of(manifest)
    if shares is None:
        return ""
    metrics = manifest.training.metrics
    loads = ", ".join(f"{share:.1%} {g}" for g, share in zip(GRADES, shares, strict=True))
    head = "| split | accuracy | macro F1 | asks a person |\n| --- | --- | --- | --- |"
    rows = [
        f"| {_SPLITS[key]} | "
        + " | ".join(
            _cell(metrics, f"{key}_at_mixture_{figure}")
            for figure in ("accuracy", "macro_f1", "asks_a_person")
        )
        + " |"
        for key in ("validation", "test")
    ]
    table = "\n".join([head, *rows])
    return (
        "## Which loads it decides for\n\nIts line between grades, its temperature and its "
        f"threshold are chosen for loads that come as {loads}. Where grades come in another "
        "mixture it says some too soon and others too seldom. The figures above count images as "
        f"they came in the split; as if grades had come in the mixture, they are:\n\n{table}"
    )


def _level(manifest: Manifest) -> str:
    spec = manifest.level
    if spec is None:
        return ""
    rows = [
        f"| {name} | {worth.n} | {worth.mean_absolute_error:.2f} | "
        f"{worth.of_the_guess_by_grade:.2f} | {worth.better_by:.2f}{_range(worth)} | "
        f"{worth.within_the_interval:.1%} | {worth.mean_width:.1f} |"
        for name, worth in (("validation", spec.validation), ("test", spec.test))
        if worth is not None
    ]
    head = (
        "| split | loads | mean absolute error | of the guess by grade | better by | within the "
        "interval | its mean width |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    table = "\n".join([head, *rows])
    return (
        "## How much trash\n\n"
        f"Besides the grade it estimates how much of a load is leaf and trash, from 0 to 100 "
        f"points, with an interval made to hold the true share of {spec.coverage:.0%} of new "
        f"loads: calibration on validation loads moved its bounds by {spec.margin:.2f} points. "
        "Undefined loads have no such share. In points, on loads whose share is known:\n\n"
        f"{table}\n\nThe guess by grade is the training loads' median share of each grade, "
        "weighted by the probabilities above. On validation loads the share within the interval is "
        "so by construction. It is an estimate from one picture, no measurement."
    )


def _range(worth: LevelFigures) -> str:
    return "" if worth.better_by_ci is None else " ({:.2f} to {:.2f})".format(*worth.better_by_ci)


def _origin(manifest: Manifest) -> str:
    record = manifest.training
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return (
        f"## Where it comes from\n\n- Command: `{record.command}`\n- Seed: {record.seed}\n"
        f"- Machine: {record.machine}\n- Versions: {versions}\n"
        f"- Exported: {manifest.created_at.isoformat()}"
    )


def _cell(metrics: dict[str, float], key: str) -> str:
    return f"{metrics[key]:.4f}" if key in metrics else "-"

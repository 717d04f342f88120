"""What a manifest claims, held against the limits of this exporter and not against its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge_agent.inference.level import LevelFigures, LevelSpec
from edge_agent.inference.manifest import Manifest
from exporter import mixture
from exporter.gate import verdict
from exporter.limits import (
    GOLDEN_LEVEL_TOLERANCE,
    GOLDEN_TOLERANCE,
    MAX_BOUNDS_MOVED,
    MAX_DIFFERENCE,
    MAX_ERROR_LOSS,
    MAX_LEVEL_DIFFERENCE,
)
from training.config import LEVEL_COVERAGE

_FORMS: Final = ("stored_values", "parity")
_ROUNDING: Final = 1e-6


def faults(manifest: Manifest) -> Iterator[str]:
    """What no bundle that cane-export has made can say."""
    missing = [name for name in _FORMS if not getattr(manifest, name)]
    if manifest.precision != "fp32" and manifest.precision_gate is None:
        missing.append("precision_gate")
    if any(golden.split is None for golden in manifest.golden):
        missing.append("golden.split")
    if missing:
        yield f"manifest.json does not say {', '.join(missing)}"
    yield from _parity(manifest)
    yield from _gate(manifest)
    yield from _golden(manifest)
    yield from _level(manifest)
    yield from _figures(manifest)


def _parity(manifest: Manifest) -> Iterator[str]:
    parity = manifest.parity
    if parity is None:
        return
    if not parity.max_difference <= MAX_DIFFERENCE:
        yield f"parity.max_difference is {parity.max_difference}, allowed is {MAX_DIFFERENCE}"
    known = manifest.training.metrics.get("validation_n")
    if parity.images != known:
        yield f"parity is of {parity.images} validation images, the trained network's of {known}"


def _gate(manifest: Manifest) -> Iterator[str]:
    gate, precision = manifest.precision_gate, manifest.precision
    if gate is None:
        return
    if gate != verdict(
        gate.tried, gate.images, gate.agreement, gate.macro_f1_trained, gate.macro_f1, gate.level
    ):
        yield "precision_gate contradicts its own figures, or the limits of cane-export"
    if manifest.parity is not None and gate.images != manifest.parity.images:
        yield f"precision_gate is of {gate.images} images, parity of {manifest.parity.images}"
    if precision == "fp32" and (gate.passed or gate.tried != "int8"):
        yield f"precision is fp32, but precision_gate is of a passed {gate.tried}"
    if precision != "fp32" and (gate.tried != precision or not gate.passed):
        state = "passed" if gate.passed else "refused"
        yield f"precision is {precision}, but precision_gate is of a {state} {gate.tried}"


def _golden(manifest: Manifest) -> Iterator[str]:
    allowed = GOLDEN_TOLERANCE[manifest.precision]
    if not manifest.golden_tolerance <= allowed:
        yield (
            f"golden_tolerance is {manifest.golden_tolerance}, allowed for {manifest.precision} is "
            f"{allowed}"
        )
    others = {str(golden.split) for golden in manifest.golden} - {"val"}
    if others:
        yield f"golden images are of split {', '.join(sorted(others))}, not val"
    recalls = manifest.training.metrics
    absent = [
        grade.value
        for grade in manifest.labels
        if f"validation_recall_{grade}" in recalls
        and grade not in {golden.grade for golden in manifest.golden}
    ]
    if absent:
        yield f"no golden image shows {', '.join(absent)}"


def _level(manifest: Manifest) -> Iterator[str]:
    level, parity, gate = manifest.level, manifest.parity, manifest.precision_gate
    for name, has in (
        ("parity", None if parity is None else parity.max_level_difference is not None),
        ("precision_gate", None if gate is None else gate.level is not None),
    ):
        if has is not None and has != (level is not None):
            yield f"{name} and level are not of the same bundle: only one says what the level is"
    if level is None:
        return
    if parity is not None and not (parity.max_level_difference or 0.0) <= MAX_LEVEL_DIFFERENCE:
        yield (
            f"parity.max_level_difference is {parity.max_level_difference}, allowed is "
            f"{MAX_LEVEL_DIFFERENCE}"
        )
    allowed = GOLDEN_LEVEL_TOLERANCE[manifest.precision]
    if not level.golden_tolerance <= allowed:
        yield (
            f"level.golden_tolerance is {level.golden_tolerance}, allowed for "
            f"{manifest.precision} is {allowed}"
        )
    if level.coverage != LEVEL_COVERAGE:
        yield f"level.coverage is {level.coverage}, cane-train calibrates for {LEVEL_COVERAGE}"
    yield from _level_figures("validation", level.validation)
    if level.test is not None:
        yield from _level_figures("test", level.test)
    yield from _level_gate(manifest, level)


def _level_figures(split: str, worth: LevelFigures) -> Iterator[str]:
    better = worth.of_the_guess_by_grade - worth.mean_absolute_error
    low, high = worth.better_by_ci or (worth.better_by, worth.better_by)
    if abs(better - worth.better_by) > _ROUNDING or not low <= worth.better_by <= high:
        yield f"level.{split}.better_by is {worth.better_by}, which its other figures contradict"


def _level_gate(manifest: Manifest, level: LevelSpec) -> Iterator[str]:
    gate = None if manifest.precision_gate is None else manifest.precision_gate.level
    if gate is None:
        return
    if (gate.max_error_loss, gate.max_bounds_moved) != (MAX_ERROR_LOSS, MAX_BOUNDS_MOVED):
        yield "precision_gate.level has other limits than cane-export"
    worth = level.validation
    apart = abs(gate.mean_absolute_error_trained - worth.mean_absolute_error)
    if gate.loads != worth.n or apart > MAX_LEVEL_DIFFERENCE:
        yield "precision_gate.level is of another network or other loads than level.validation"


def _figures(manifest: Manifest) -> Iterator[str]:
    """Shares lie in 0..1; what ends in _n is a number of images. A mixture is one of all loads."""
    shares = mixture.of(manifest)
    if shares is not None and abs(shares.sum() - 1) > _ROUNDING:
        yield f"training.metrics.mixture_GRADE sum to {shares.sum():g}, not to 1"
    for name, value in manifest.training.metrics.items():
        if name.endswith("_n"):
            if not (value >= 1 and float(value).is_integer()):
                yield f"training.metrics.{name} is {value}, not a number of images"
        elif not 0.0 <= value <= 1.0:
            yield f"training.metrics.{name} is {value}, not within 0 and 1"

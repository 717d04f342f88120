"""Whether a smaller form of a model may ship: what its figures come to by the limits here."""

from __future__ import annotations

from typing import Literal

from edge_agent.inference.level import LevelGate
from edge_agent.inference.manifest import PrecisionGate
from exporter.limits import MAX_BOUNDS_MOVED, MAX_ERROR_LOSS, MAX_F1_LOSS, MIN_AGREEMENT

Smaller = Literal["fp16-weights", "int8"]


def verdict(
    tried: Smaller,
    images: int,
    agreement: float,
    before: float,
    after: float,
    level: LevelGate | None,
) -> PrecisionGate:
    """What these figures of so many images come to, by the limits here.

    before, after: macro F1 of the trained network and of the smaller form. level: of the second
    output, where there is one.
    """
    faults = [
        *([] if agreement >= MIN_AGREEMENT else ["too many other decisions"]),
        *([] if before - after <= MAX_F1_LOSS + 1e-9 else ["macro F1 too low"]),
        *([] if level is None else _level_faults(level)),
    ]
    figures = (
        f"{tried} decides as the trained network on {agreement:.2%} of {images} validation "
        f"images (at least {MIN_AGREEMENT:.0%}), macro F1 {after:.4f} against {before:.4f} "
        f"(at most {MAX_F1_LOSS} less)" + ("" if level is None else f"; {_level_words(level)}")
    )
    return PrecisionGate(
        tried=tried,
        images=images,
        agreement=agreement,
        min_agreement=MIN_AGREEMENT,
        macro_f1=after,
        macro_f1_trained=before,
        max_macro_f1_loss=MAX_F1_LOSS,
        level=level,
        passed=not faults,
        reason=f"{figures}: {'refused, ' + ' and '.join(faults) if faults else 'passed'}",
    )


def _level_faults(gate: LevelGate) -> list[str]:
    """By what a smaller form is refused for its level, by the limits here."""
    error = gate.mean_absolute_error - gate.mean_absolute_error_trained
    return [
        *([] if error <= MAX_ERROR_LOSS + 1e-9 else ["the level's error too large"]),
        *([] if gate.bounds_moved <= MAX_BOUNDS_MOVED else ["the level's interval moved too far"]),
    ]


def _level_words(gate: LevelGate) -> str:
    """Its figures for people."""
    return (
        f"level: mean absolute error {gate.mean_absolute_error:.2f} points against "
        f"{gate.mean_absolute_error_trained:.2f} on {gate.loads} loads (at most {MAX_ERROR_LOSS} "
        f"more), bounds moved by {gate.bounds_moved:.2f} on average (at most {MAX_BOUNDS_MOVED})"
    )

"""The level on its way into a bundle: whether it goes, what is said of it, what it may lose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import ValidationError

from edge_agent.inference.level import LevelFigures, LevelGate, LevelSpec
from edge_agent.inference.manifest import Precision
from exporter.errors import ExportError
from exporter.graph import LEVEL_NAME
from exporter.limits import GOLDEN_LEVEL_TOLERANCE, MAX_BOUNDS_MOVED, MAX_ERROR_LOSS
from training.config import LEVEL_COVERAGE
from training.data.dataset import ImageSet
from training.level import digest, shares
from training.model import Said, TrainedModel
from training.source import Source


def decided(
    source: Source, *, leave_out: bool, say: Callable[[str], None] = lambda _: None
) -> TrainedModel:
    """The model as it is to be exported: with its second head, or without and the reason told.

    The head goes where the run's own figures on validation loads say that it earns its place.
    Raises ExportError for data whose shares of trash are not those it was trained on.
    """
    model = source.model
    if model.card.level is None:
        return model
    worth = figures(model, "validation")
    reason = None
    if leave_out:
        reason = "as --without-level asks"
    elif worth is None:
        reason = "its run has no figures on validation loads"
    elif not worth.earns_its_place:
        reason = (
            f"on {worth.n} validation loads its mean absolute error is "
            f"{worth.mean_absolute_error:.2f} points, of the guess by grade "
            f"{worth.of_the_guess_by_grade:.2f}; the difference's interval, {_interval(worth)}, is "
            "not above 0"
        )
    if reason is not None:
        say(f"the level is left out: {reason}")
        return model.without_level()
    known = model.card.training["config"].get("level_sha256")
    if known != digest(source.dataset.manifest.rows):
        raise ExportError(
            f"{source.dataset.manifest.folder}: its trash_share is not what the level was trained "
            "on; give the manifest.csv given to cane-train fit, or --without-level"
        )
    assert worth is not None  # noqa: S101 - else there is a reason
    say(
        f"with the level: mean absolute error {worth.mean_absolute_error:.2f} points on {worth.n} "
        f"validation loads, {worth.better_by:.2f} below the guess by grade, interval "
        f"{_interval(worth)}"
    )
    return model


def figures(model: TrainedModel, split: str) -> LevelFigures | None:
    """What the run found its second head to be worth on a split; None where it could not say."""
    found: dict[str, Any] | None = model.card.training.get(f"{split}_level")
    if found is None:
        return None
    wanted = {name: found.get(name) for name in LevelFigures.model_fields}
    try:
        return LevelFigures.model_validate(wanted)
    except ValidationError as error:
        first = error.errors()[0]
        raise ExportError(
            f"{split}_level of the run: {'.'.join(map(str, first['loc']))}: {first['msg']}; "
            "train it again, or give --without-level"
        ) from error


def spec(model: TrainedModel, precision: Precision) -> LevelSpec | None:
    """What the manifest says of the second output; None of a model without the head."""
    card, validation = model.card.level, figures(model, "validation")
    if card is None or validation is None:
        return None
    return LevelSpec(
        output_name=LEVEL_NAME,
        coverage=LEVEL_COVERAGE,
        margin=card.margin,
        golden_tolerance=GOLDEN_LEVEL_TOLERANCE[precision],
        validation=validation,
        test=figures(model, "test"),
    )


def measured(trained: Said, served: Said, images: ImageSet) -> LevelGate | None:
    """The levels of a smaller form beside those of the trained network, against the true shares.

    None where the model has no level.
    """
    if trained.levels is None or served.levels is None:
        return None
    true = shares(images)
    known = np.isfinite(true)
    before, after = trained.levels[known], served.levels[known]
    return LevelGate(
        loads=int(known.sum()),
        mean_absolute_error=float(np.abs(after[:, 1] - true[known]).mean()),
        mean_absolute_error_trained=float(np.abs(before[:, 1] - true[known]).mean()),
        max_error_loss=MAX_ERROR_LOSS,
        bounds_moved=float(np.abs(after - before)[:, [0, 2]].mean()),
        max_bounds_moved=MAX_BOUNDS_MOVED,
    )


def _interval(worth: LevelFigures) -> str:
    if worth.better_by_ci is None:
        return "unknown"
    low, high = worth.better_by_ci
    return f"{low:.2f} to {high:.2f}"

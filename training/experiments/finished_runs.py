"""The finished runs of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.data.dataset import Dataset
from training.experiments.config import ARMS, Run, StudyConfig
from training.train import finished

_NOT_ASKED: Final = {
    *("data_digest", "processes"),
    # Found on the way, by the recipe, which is asked for:
    *("synthetic_sha256", "synthetic_shares", "synthetic_shuffled"),
}


def finished_run(
    run: Run, out: Path, config: StudyConfig, start: Mapping[str, str], dataset: Dataset
) -> dict[str, Any] | None:
    """The metrics.json of a finished run of this study; None where it is not finished.

    start: what it starts from, as `Weights.described` has it, {} for random weights. Raises
    RunError where the folder holds a run of another study.
    """
    wanted = config.fit(run).model_copy(update=start)
    free = set(_NOT_ASKED)
    if ARMS[run.arm].rendered and config.rendered_digest is None:
        free.add("synthetic_recipe")  # another command has said which images
    return finished(run.folder(out), wanted.model_dump(exclude=free), dataset)

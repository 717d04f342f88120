"""Draws the candidates: shared out among the processes, each image written when it is there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch

from training import parallel
from training.data import tables
from training.data.dataset import ImageSet
from training.errors import RunError
from training.outputs import whole, write_json
from training.synthesis import bases, blend
from training.synthesis.bases import Base
from training.synthesis.painter import Asked, Painter
from training.synthesis.planner import Planner
from training.synthesis.run import CANDIDATES_NAME, Run, masks_of
from training.synthesis.stages import Stage

IMAGES: Final = "images"
_DRAWN_WITH: Final = "drawn-with.json"
_BATCH: Final = 16
"""Images drawn together."""


def planner_of(run: Run, segmented: Stage) -> Planner:
    """What plans from a run's training images."""
    return Planner(
        run.train,
        masks_of(run, segmented),
        seed=run.config.seed,
        transfer=run.config.generate.colours or "moments",
    )


def _planned(run: Run, planner: Planner) -> list[Base]:
    """All bases of the run, in the order of their numbers. Raises RunError where there is none."""
    config = run.config.generate
    by_segment = config.method in ("segment", bases.TRANSLATE)
    if by_segment and not planner.has_trash:
        run.report.say("no mask shows leaf or trash: blends are transparencies")
    elif by_segment and planner.boundary is not None:
        share = planner.boundary.share
        run.report.say(f"blends count as trashy from {share:.0f} % of trash on")
    elif by_segment:
        run.report.say(
            "masks do not tell clean and trashy loads apart: blends count as trashy from level "
            f"{blend.BOUNDARY} on"
        )
    wanted = bases.lacking(run.train.labels, config.surplus)
    if config.partners:
        wanted = bases.with_partners(wanted, run.train.labels)
    found = planner.plan(wanted, method=config.method, levels=config.levels)
    planned = Counter(base.grade for base in found)
    for grade, count in wanted.items():
        if planned[grade] < count:
            run.report.say(f"{grade}: only {planned[grade]} of {count} blends count as that grade")
    if not found:
        raise RunError("no blend counts as a grade that lacks images: look at the masks")
    return found


def generate(
    run: Run, stage: Stage, segmented: Stage, diffused: Stage | None, adapted: Stage | None
) -> bool:
    """Draws what is not drawn yet. diffused: None takes the blends as they are.

    False where time was up.
    """
    config = run.config.generate
    planner = planner_of(run, segmented)
    plan = _planned(run, planner)
    folder = stage.folder / IMAGES
    folder.mkdir(exist_ok=True)
    painter = Painter(run, segmented, diffused, adapted)
    parallel.main_first(lambda: _require_weights(stage, painter.model_sha256))
    rank, processes = run.accelerator.process_index, run.accelerator.num_processes
    # Shared out first: what others have drawn meanwhile must not move the shares.
    missing = [base for base in plan[rank::processes] if not file_of(folder, base).exists()]
    run.report.say(f"{len(plan)} candidates, of which {len(missing)} are to be drawn here")
    tick = run.report.loading("candidates (drawing)", len(missing))
    for start in range(0, _most(run, len(missing)), _BATCH):
        if parallel.is_past(run.accelerator, run.deadline):
            return False
        batch = missing[start : start + _BATCH]
        if not batch:
            continue
        made = np.stack([planner.draw(base) for base in batch])
        if painter.network is not None:
            made = painter.draw(
                asked_of(batch, run.config.seed),
                made,
                painter.hints(made),
                steps=config.steps,
                guidance=config.guidance,
                start=made,
                strength=config.strength,
            )
        for base, image in zip(batch, made, strict=True):
            _write(file_of(folder, base), image)
            tick()
    run.accelerator.wait_for_everyone()
    if run.accelerator.is_main_process:
        _write_candidates(
            stage.folder / CANDIDATES_NAME,
            plan,
            run.train,
            run.config.seed,
            painter.model_sha256,
            trash_of=planner.trash_shown if painter.network is None else None,
        )
        stage.finish(
            {
                **run.provenance(),
                "candidates": len(plan),
                "model_sha256": painter.model_sha256,
                "boundary": planner.boundary and asdict(planner.boundary),
            }
        )
    return True


def _require_weights(stage: Stage, model_sha256: Mapping[str, str]) -> None:
    """Raises RunError where what is there already was drawn with other weights, as those of a stage
    that was deleted and made again."""
    file = stage.folder / _DRAWN_WITH
    if not file.exists() and not any((stage.folder / IMAGES).iterdir()):
        write_json(file, dict(model_sha256))
        return
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        found = None  # of a version that did not write it
    if found != model_sha256:
        raise RunError(
            f"{stage.folder}: holds images drawn with other weights; delete it and run again"
        )


def file_of(folder: Path, base: Base) -> Path:
    """The image file of a base."""
    return folder / f"{base.number:06d}.png"


def asked_of(batch: Sequence[Base], seed: int) -> Asked:
    """What the images of these bases are to be; a function of each base and the run's seed."""
    sequences = [np.random.SeedSequence([seed, base.number]) for base in batch]
    return Asked(
        np.stack([base.soft_label for base in batch]),
        np.array([base.trash for base in batch], np.float64),
        np.array([base.region for base in batch]),
        np.array([s.generate_state(1, np.uint64)[0] >> np.uint64(1) for s in sequences], np.int64),
    )


def _most(run: Run, count: int) -> int:
    """The largest count of all processes: so often do all look at the clock together."""
    counts = run.accelerator.gather(torch.tensor([count], device=run.accelerator.device))
    return int(counts.max())


def _write(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Writes a PNG, under its name only when complete."""
    coded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    with whole(path) as file:
        file.write_bytes(coded.tobytes())


def _write_candidates(
    path: Path,
    plan: Sequence[Base],
    train: ImageSet,
    seed: int,
    model_sha256: Mapping[str, str],
    *,
    trash_of: Callable[[Base], float | None] | None,
) -> None:
    """One row a candidate, with all that is known of it before it is judged.

    trash_of: what one sees of blends as they are; None where a model draws, which draws less of it
    than it was told, or more.
    """
    model = " ".join(model_sha256.values())
    rows = [
        {
            "image": f"{IMAGES}/{file_of(Path(), base).name}",
            "grade": base.grade.value,
            "region": base.region,
            **bases.provenance(base, train),
            "seed": seed,
            "model_sha256": model,
        }
        for base in plan
    ]
    if trash_of is not None:
        for row, base in zip(rows, plan, strict=True):
            shown = trash_of(base)
            row["trash_share"] = "" if shown is None else f"{shown:.2f}"
    columns = tuple(rows[0]) if rows else ("image", "grade")
    tables.write(path, columns, rows)

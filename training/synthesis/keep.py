"""Runs stage 5: judges the candidates and writes the manifest of what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np

from edge_agent.grades import GRADES, Grade
from training.data import images, tables
from training.data.dataset import Dataset
from training.data.manifest import MANIFEST_NAME
from training.digest import sha256
from training.errors import RunError
from training.model import TrainedModel, model_file
from training.synthesis.bases import soft_label
from training.synthesis.config import SynthesisConfig
from training.synthesis.features import RealFeatures
from training.synthesis.filter import Judge
from training.synthesis.generate import IMAGES
from training.synthesis.run import CANDIDATES_NAME, Run
from training.synthesis.stages import Stage, read_done

VERDICTS_NAME: Final = "verdicts.csv"


def read_judge(path: Path, dataset: Dataset, size: int) -> TrainedModel:
    """The model that judges. Raises RunError for one of other images, which may have seen those
    that it must not, and of another size."""
    model = TrainedModel.load(path)
    if model.card.training.get("data", {}).get("digest") != dataset.digest:
        raise RunError(
            f"judge {path}: was trained on other images, labels or splits; give it a run of "
            f"cane-train fit on {dataset.manifest.path}"
        )
    if model.card.size != size:
        raise RunError(f"judge {path}: sees {model.card.size} px, the images have {size}")
    return model


def read_config(folder: Path) -> tuple[SynthesisConfig, str]:
    """The configuration of a finished set, or of another stage, and the digest of the data it was
    made of. Raises RunError."""
    try:
        done = read_done(folder)
        return SynthesisConfig.model_validate(done["config"]), str(done["data"])
    except (RunError, ValueError, KeyError) as error:
        raise RunError(
            f"{folder}: no set of cane-train synthesize; give the folder that it printed"
        ) from error


def _first(parents: str) -> str:
    """Of a JSON list; earlier versions wrote them with spaces between."""
    return str(json.loads(parents)[0]) if parents.startswith("[") else parents.split()[0]


def keep(run: Run, stage: Stage, drawn: Stage, features: Stage) -> bool:
    """Writes verdicts.csv of all candidates, and manifest.csv of those kept: a dataset whose rows
    are all for training. In the main process; True."""
    if not run.accelerator.is_main_process:
        return True
    _, candidates = tables.read(drawn.folder / CANDIDATES_NAME)
    grades = [Grade(cells["grade"]) for cells in candidates]
    asked = [
        soft_label(grade, float(cells["trashy"]))
        for grade, cells in zip(grades, candidates, strict=True)
    ]
    files = [drawn.folder / cells["image"] for cells in candidates]
    tick = run.report.loading("candidates", len(files))
    pixels, _, skips = images.load(files, run.config.size, on_image=tick)
    if skips:
        raise RunError(f"{skips[0].path}: {skips[0].reason}; delete {drawn.folder} and run again")
    run.report.say("judging the candidates")
    given = run.config.filter.judge
    network = None
    if given is not None:
        if sha256(model_file(Path(given))) != run.config.filter.judge_digest:
            raise RunError(f"judge {given}: has changed since this began; run again")
        network = read_judge(Path(given), run.dataset, run.config.size)
    real = RealFeatures.read(features)
    judge = Judge(run.train, run.validation, real, run.report, network)
    labels = np.array([GRADES.index(grade) for grade in grades])
    judged = judge.judge(pixels, np.stack(asked), labels, run.config.filter)
    rows = [
        {
            **cells,
            "image": f"../{drawn.folder.name}/{cells['image']}",
            # With its first parent: whatever is split by truck keeps them together.
            "truck": _first(cells["parent_trucks"]),
            "captured_at": "",
            "split": "train",
            "verdict": verdict,
            "overlap": f"{overlap:.4f}",
            "nearest": f"{nearest:.4f}",
        }
        for cells, verdict, overlap, nearest in zip(
            candidates, judged.verdicts, judged.overlap, judged.nearest, strict=True
        )
    ]
    kept = [row for row in rows if row["verdict"] == "kept"]
    if not kept:
        raise RunError(
            f"{stage.folder}: none of {len(rows)} candidates was kept; look at them in "
            f"{drawn.folder / IMAGES}, train longer or lower the filter's overlap"
        )
    tables.write(stage.folder / VERDICTS_NAME, tuple(rows[0]), rows)
    tables.write(stage.folder / MANIFEST_NAME, tuple(rows[0]), kept)
    run.report.say(f"{len(kept)} of {len(rows)} candidates are kept")
    stage.finish(
        {
            **run.provenance(),
            **judge.report(judged, labels, run.config.filter),
        }
    )
    return True

"""Draws the candidates: shared out among the processes, each image written when it is there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file

from training.data import tables
from training.data.dataset import ImageSet
from training.synthesis import bases, segment
from training.synthesis.bases import Base
from training.synthesis.conditions import Conditions, Vocabulary
from training.synthesis.config import GenerateSection
from training.synthesis.denoiser import Denoiser
from training.synthesis.diffuse import hints, sample
from training.synthesis.run import CANDIDATES_NAME, CLASSES_NAME, WEIGHTS_NAME, Run
from training.synthesis.stages import Stage

IMAGES: Final = "images"
_BATCH: Final = 16
"""Images drawn together."""


def planned(run: Run, segmented: Stage) -> list[Base]:
    """All bases of the run, in the order of their numbers."""
    config = run.config.generate
    return bases.plan(
        run.train,
        bases.lacking(run.train.labels, config.surplus),
        method=config.method if _has_masks(segmented) else "alpha",
        levels=config.levels,
        seed=run.config.seed,
    )


def generate(run: Run, stage: Stage, segmented: Stage, diffused: Stage | None) -> bool:
    """Draws what is not drawn yet. diffused: None takes the blends as they are.

    False where time was up.
    """
    plan = planned(run, segmented)
    folder = stage.folder / IMAGES
    folder.mkdir(exist_ok=True)
    painter = _Painter(run, segmented, diffused)
    rank, processes = run.accelerator.process_index, run.accelerator.num_processes
    missing = [base for base in plan if not file_of(folder, base).exists()][rank::processes]
    run.report.say(f"{len(plan)} candidates, of which {len(missing)} are to be drawn here")
    tick = run.report.loading("candidates (drawing)", len(missing))
    for start in range(0, len(missing), _BATCH):
        if time.monotonic() > run.deadline:
            return False
        batch = missing[start : start + _BATCH]
        for base, image in zip(batch, painter.paint(batch), strict=True):
            _write(file_of(folder, base), image)
            tick()
    run.accelerator.wait_for_everyone()
    if run.accelerator.is_main_process:
        _write_candidates(stage.folder / CANDIDATES_NAME, plan, run.train)
        stage.finish({"candidates": len(plan)})
    return True


def file_of(folder: Path, base: Base) -> Path:
    """The image file of a base."""
    return folder / f"{base.number:06d}.png"


class _Painter:
    """Turns bases into images; a function of each base and the run's seed."""

    def __init__(self, run: Run, segmented: Stage, diffused: Stage | None) -> None:
        self._train, self._seed = run.train, run.config.seed
        self._config: GenerateSection = run.config.generate
        self._classes = np.load(segmented.folder / CLASSES_NAME)
        self._unet: segment.UNet | None = None
        if _has_masks(segmented):
            self._unet = segment.UNet(run.config.segment.widths)
            self._unet.load_state_dict(load_file(segmented.folder / WEIGHTS_NAME))
            self._unet.to(run.accelerator.device)
        self._network: Denoiser | None = None
        if diffused is not None:
            network = Denoiser.load(diffused.folder / WEIGHTS_NAME)
            self._network = network.to(run.accelerator.device)

    def paint(self, batch: Sequence[Base]) -> npt.NDArray[np.uint8]:
        blends = np.stack([bases.draw(b, self._train, self._classes, self._seed) for b in batch])
        if self._network is None:
            return blends
        return sample(
            self._network,
            self._conditions(batch, blends, self._network.architecture.vocabulary),
            self._hints(blends),
            np.array([self._noise_seed(base) for base in batch], np.int64),
            steps=self._config.steps,
            guidance=self._config.guidance,
            start=blends,
            strength=self._config.strength,
        )

    def _conditions(
        self, batch: Sequence[Base], blends: npt.NDArray[np.uint8], vocabulary: Vocabulary
    ) -> Conditions:
        return Conditions.of(
            np.stack([base.soft_label for base in batch]),
            [base.level for base in batch],
            [vocabulary.region(base.region) for base in batch],
            vocabulary.light(blends),
        )

    def _hints(self, blends: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self._unet is None:
            return hints(blends, np.zeros(blends.shape[:3], np.uint8))
        return hints(blends, segment.predict(self._unet, blends))

    def _noise_seed(self, base: Base) -> int:
        sequence = np.random.SeedSequence([self._seed, base.number])
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _has_masks(segmented: Stage) -> bool:
    done = segmented.done()
    return bool(done and done["has_masks"])


def _write(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Writes a PNG, under its name only when complete."""
    coded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(coded.tobytes())
    temporary.replace(path)


def _write_candidates(path: Path, plan: Sequence[Base], train: ImageSet) -> None:
    """One row a candidate, with all that is known of it before it is judged."""
    rows = [
        {
            "image": f"{IMAGES}/{file_of(Path(), base).name}",
            "grade": base.grade.value,
            "region": base.region,
            **bases.provenance(base, train),
        }
        for base in plan
    ]
    columns = tuple(rows[0]) if rows else ("image", "grade")
    tables.write(path, columns, rows)

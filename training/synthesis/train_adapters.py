"""Runs the training of adapters by region beside the finished diffusion model."""

from __future__ import annotations

import numpy as np

from training.sampling import reseed
from training.synthesis import adapters
from training.synthesis.bases import LEAST
from training.synthesis.denoiser import Denoiser
from training.synthesis.run import CHECKPOINT_NAME, CLASSES_NAME, WEIGHTS_NAME, Run
from training.synthesis.stages import Stage
from training.synthesis.train_diffusion import examples_of, steps_of, vocabulary_of


def train_adapters(run: Run, stage: Stage, segmented: Stage, diffused: Stage) -> bool:
    """Trains one for each region with LEAST images at least. False: time was up."""
    config = run.config.adapt
    assert config is not None  # noqa: S101 - the stage is there for it
    classes = np.load(segmented.folder / CLASSES_NAME)
    examples = examples_of(run, classes, vocabulary_of(run))
    regions = np.array([row.region for row in run.train.rows])
    losses: dict[str, float] = {}
    for number, region in enumerate(np.unique(regions[regions != ""])):
        ours = np.flatnonzero(regions == region)
        if len(ours) < LEAST:
            run.report.say(f"region {region}: {len(ours)} images are too few for an adapter")
            continue
        network = Denoiser.load(diffused.folder / WEIGHTS_NAME)
        reseed(run.config.seed, 0, 2 + number)
        adapters.add(network, config.rank)
        run.report.begin(f"adapter of {region}")
        steps = steps_of(
            run,
            stage,
            str(number),
            network,
            examples[ours],
            total=config.steps,
            learning_rate=config.learning_rate,
        )
        if not steps.run(run.report, deadline=run.deadline):
            return False
        losses[str(region)] = float(np.mean(steps.losses[-50:]))
        if run.accelerator.is_main_process:
            adapters.save(
                adapters.file_of(stage.folder, number),
                adapters.weights_of(network, steps.averaged),
                str(region),
                config.rank,
            )
    if run.accelerator.is_main_process:
        stage.finish({"loss_of_last_50_steps": losses})
        for checkpoint in stage.folder.glob(f"*-{CHECKPOINT_NAME}"):
            checkpoint.unlink()
    return True

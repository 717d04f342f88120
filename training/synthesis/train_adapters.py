"""Runs the training of adapters by region beside the finished diffusion model."""

from __future__ import annotations

import numpy as np

from training.sampling import reseed
from training.synthesis import adapters
from training.synthesis.bases import LEAST
from training.synthesis.denoiser import Denoiser
from training.synthesis.diffuse import Examples
from training.synthesis.run import WEIGHTS_NAME, Run
from training.synthesis.stages import Stage
from training.synthesis.train_diffusion import checkpoint_of, examples_of, steps_of, vocabulary_of


def train_adapters(run: Run, stage: Stage, segmented: Stage, diffused: Stage) -> bool:
    """Trains one for each region with LEAST images at least. False: time was up."""
    examples = examples_of(run, segmented, vocabulary_of(run))
    regions = np.array([row.region for row in run.train.rows])
    losses: dict[str, float] = {}
    for number, region in enumerate(np.unique(regions[regions != ""]).tolist()):
        ours = np.flatnonzero(regions == region)
        if len(ours) < LEAST:
            run.report.say(f"region {region}: {len(ours)} images are too few for an adapter")
            continue
        file = adapters.file_of(stage.folder, number)
        if not file.exists() and not _train(run, stage, diffused, examples[ours], number, region):
            return False
        # Of the network, its optimiser and its averages nothing is needed for the next region.
        run.accelerator.free_memory()
        run.accelerator.wait_for_everyone()
        losses[region] = adapters.loss_of(file)
        if run.accelerator.is_main_process:
            # As large as the whole model, and there are as many as regions.
            checkpoint_of(stage, str(number)).unlink(missing_ok=True)
    if run.accelerator.is_main_process:
        stage.finish({**run.provenance(), "loss_of_last_50_steps": losses})
    return True


def _train(
    run: Run, stage: Stage, diffused: Stage, examples: Examples, number: int, region: str
) -> bool:
    """One region's, to its file, whose being there says that it is finished. False: time was up."""
    config = run.config.adapt
    assert config is not None  # noqa: S101 - the stage is there for it
    network = Denoiser.load(diffused.folder / WEIGHTS_NAME)
    if network.architecture.backbone is None:
        network.linear.settle(examples.images, examples.conditions)
    reseed(run.config.seed, 0, 2 + number)
    adapters.add(network, config.rank)
    run.report.begin(f"adapter of {region}")
    steps = steps_of(
        run,
        stage,
        str(number),
        network,
        examples,
        total=config.steps,
        learning_rate=config.learning_rate,
    )
    if not steps.run(run.report, deadline=run.deadline):
        return False
    if run.accelerator.is_main_process:
        adapters.save(
            adapters.file_of(stage.folder, number),
            adapters.weights_of(network, steps.averaged),
            region,
            config.rank,
            float(np.mean(steps.losses[-50:])),
        )
    return True

"""Runs the training of stage 4, and measures whether the model follows its edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_agent.grades import GRADES
from training import parallel
from training.data.dataset import evenly
from training.data.trash import shows_trash
from training.sampling import reseed
from training.synthesis import backbone
from training.synthesis.backbone import Pretrained
from training.synthesis.bases import trash_of
from training.synthesis.conditions import Conditions, Vocabulary
from training.synthesis.denoiser import Architecture, Denoiser
from training.synthesis.diffuse import DiffusionLoss, Examples, hints, obedience, sample
from training.synthesis.run import CHECKPOINT_NAME, WEIGHTS_NAME, Run, classes_of, masks_of
from training.synthesis.stages import Stage, load_weights, save_weights
from training.synthesis.steps import Steps

BASE_NAME: Final = "base.safetensors"
_LOOKED_AT: Final = 32
"""Samples that are measured."""


def train_diffusion(run: Run, stage: Stage, segmented: Stage) -> bool:
    """Trains on all training images, rare grades oftener than they occur. False: time was up."""
    config = run.config.diffuse
    vocabulary = vocabulary_of(run)
    pretrained = None if config.backbone is None else backbone.read(config.backbone)
    architecture = Architecture(
        size=run.config.size,
        vocabulary=vocabulary,
        backbone=pretrained.parts if pretrained else None,
        **config.model_dump(include={"patch", "widths", "layers", "attention", "control"}),
    )
    examples = examples_of(run, segmented, vocabulary)
    reseed(run.config.seed, 0, 1)
    network = begun(architecture, pretrained, examples)
    if config.control == "frozen":
        # As published: first a network without ControlNet, then a copy of it beside the frozen one.
        without = architecture.model_copy(update={"control": "none"})
        file = stage.folder / BASE_NAME
        if not file.exists():
            base = begun(without, pretrained, examples)
            if not _train_base(run, stage, base, examples):
                return False
            del base
            run.accelerator.free_memory()
            run.accelerator.wait_for_everyone()
        network.load_state_dict(load_weights(file), strict=False)
        reseed(run.config.seed, 0, 1)  # the same, whether the base was trained now or before
        network.add_control()
    steps = _steps(run, stage, "diffusion", network, examples)
    if not steps.run(run.report, deadline=run.deadline):
        return False
    if run.accelerator.is_main_process:
        network.save(stage.folder / WEIGHTS_NAME, steps.averaged)
        stage.finish(
            {
                **run.provenance(),
                "steps": len(steps.losses),
                "loss_of_last_50_steps": float(np.mean(steps.losses[-50:])),
                **_obeys(run, stage, examples),
            }
        )
        for checkpoint in stage.folder.glob(checkpoint_of(stage, "*").name):
            checkpoint.unlink()
    return True


def _train_base(run: Run, stage: Stage, base: Denoiser, examples: Examples) -> bool:
    """The network that a frozen one starts from, to BASE_NAME. False: time was up."""
    steps = _steps(run, stage, "base", base, examples)
    if not steps.run(run.report, deadline=run.deadline):
        return False
    if run.accelerator.is_main_process:
        save_weights(stage.folder / BASE_NAME, steps.averaged)
    return True


def begun(
    architecture: Architecture, pretrained: Pretrained | None, examples: Examples
) -> Denoiser:
    """A network before its first step: with the backbone's weights, or its linear part fitted."""
    network = Denoiser(architecture)
    if pretrained is None:
        network.linear.fit(examples.images, examples.conditions)
        return network
    network.unet.load_state_dict(pretrained.unet)
    network.vae.load_state_dict(pretrained.vae)
    if network.controlnet is not None:
        network.add_control()  # of these weights
    return network


def vocabulary_of(run: Run) -> Vocabulary:
    """What the model can be told; no regions where it is to have no embedding of them."""
    found = Vocabulary.of(run.train)
    return found if run.config.diffuse.regions else found.model_copy(update={"regions": ()})


def examples_of(run: Run, segmented: Stage, vocabulary: Vocabulary) -> Examples:
    """All training images, with the edges that the U-Net tells apart, and their share of trash."""
    counts = np.bincount(run.train.labels, minlength=len(GRADES))
    masks = masks_of(run, segmented)
    trash = trash_of(run.train.labels, masks if shows_trash(masks) else None)
    return Examples(
        run.train.images,
        hints(run.train.images, classes_of(segmented)),
        Conditions.of_loads(run.train, trash, vocabulary),
        # Between as often as they occur and equally often: rare grades have few pictures to learn.
        1 / np.sqrt(counts[run.train.labels]),
    )


def checkpoint_of(stage: Stage, name: str) -> Path:
    """Where a training of that name in a stage resumes from."""
    return stage.folder / f"{name}-{CHECKPOINT_NAME}"


def steps_of(
    run: Run,
    stage: Stage,
    name: str,
    network: Denoiser,
    examples: Examples,
    *,
    total: int,
    learning_rate: float,
) -> Steps:
    """The optimisation of what of a network is trained. name: of its checkpoint in the stage."""
    config, accelerator = run.config.diffuse, run.accelerator
    loss = DiffusionLoss(
        examples,
        parallel.share_of(config.batch, accelerator),
        accelerator.device,
        weight=config.edge_weight if network.controlnet is not None else 0.0,
        space=network.space,
    )
    return Steps(
        accelerator,
        network,
        loss,
        checkpoint_of(stage, name),
        total=total,
        seed=run.config.seed,
        learning_rate=learning_rate,
        config={"key": stage.key, "processes": accelerator.num_processes},
        ema=config.ema,
    )


def _steps(run: Run, stage: Stage, name: str, network: Denoiser, examples: Examples) -> Steps:
    config = run.config.diffuse
    run.report.begin(name)
    return steps_of(
        run,
        stage,
        name,
        network,
        examples,
        total=config.steps,
        learning_rate=config.learning_rate,
    )


def _obeys(run: Run, stage: Stage, examples: Examples) -> dict[str, Any]:
    """Does the model follow its edges? Agreement with its own images' edges, and with others'."""
    network = Denoiser.load(stage.folder / WEIGHTS_NAME).to(run.accelerator.device)
    if network.controlnet is None:
        return {}
    real = examples[evenly(len(run.train), _LOOKED_AT)]
    drawn = sample(
        network,
        real.conditions,
        real.hints,
        np.arange(len(real)),
        steps=run.config.generate.steps,
        guidance=run.config.generate.guidance,
    )
    own, others = (float(found.mean()) for found in obedience(drawn, real.images))
    run.report.say(f"samples agree with their own edges by {own:.2f}, with others' by {others:.2f}")
    return {"edge_agreement": {"own": own, "others": others}}

"""Runs stage 3: trains the U-Net on the masks there are, and tells all training images apart."""

from __future__ import annotations

import numpy as np

from training import parallel
from training.sampling import reseed
from training.synthesis import segment
from training.synthesis.run import CHECKPOINT_NAME, CLASSES_NAME, WEIGHTS_NAME, Run
from training.synthesis.stages import Stage, save_array, save_weights
from training.synthesis.steps import Steps


def train_segment(run: Run, stage: Stage) -> bool:
    """Trains the U-Net where there are masks; without, every edge belongs to the rest.

    False where time was up.
    """
    config, size = run.config.segment, run.config.size
    folder, cut = run.dataset.manifest.folder, run.dataset.description.cut
    classes = np.zeros((len(run.train), size, size), np.uint8)
    held_out: dict[str, float | None] = {}
    masked = any(row.mask for row in run.train.rows)
    if masked:
        reseed(run.config.seed, 0, 0)
        network = segment.UNet(config.widths)
        masks = segment.Masks.of(run.train, folder, cut)
        others = segment.Masks.of(run.validation, folder, cut)  # one that is wrong is told at once
        run.report.begin("U-Net")
        accelerator = run.accelerator
        batch = parallel.share_of(config.batch, accelerator)
        # Of one process checkpoints say what those of earlier versions did.
        several = accelerator.num_processes > 1
        steps = Steps(
            accelerator,
            network,
            segment.SegmentationLoss(masks, batch, accelerator.device),
            stage.folder / CHECKPOINT_NAME,
            total=config.steps,
            seed=run.config.seed,
            learning_rate=config.learning_rate,
            config={"key": stage.key}
            | ({"processes": accelerator.num_processes} if several else {}),
        )
        if not steps.run(run.report, deadline=run.deadline):
            return False
        if not run.accelerator.is_main_process:
            return True
        classes = segment.predict(network, run.train.images)
        if len(others):
            held_out = segment.iou(segment.predict(network, others.images), others.masks)
        save_weights(stage.folder / WEIGHTS_NAME, network.state_dict())
        told = ", ".join(f"{n} {v:.2f}" for n, v in held_out.items() if v is not None)
        run.report.say(f"U-Net: intersection over union on validation trucks: {told or 'no masks'}")
    else:
        run.report.say("no training image has a mask: edges are not told apart")
    if run.accelerator.is_main_process:
        save_array(stage.folder / CLASSES_NAME, classes)
        stage.finish({**run.provenance(), "iou": held_out, "has_masks": masked})
        (stage.folder / CHECKPOINT_NAME).unlink(missing_ok=True)
    return True

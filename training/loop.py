"""Epochs of a classifier's training: early stopping, and resuming exactly.

Everything random is a function of (seed, epoch, step, rank), so a run that is killed and resumed
computes the same losses, bit for bit, as one that was not, on the same machine with the same
threads and processes.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Literal, cast

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.utils import broadcast  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edge_agent.grades import GRADES
from training import parallel, sampling
from training.augmentation import Augmentation, is_balanced
from training.auxiliary_norms import AuxiliaryNorms
from training.config import LATER, FitConfig
from training.data.dataset import ImageSet
from training.errors import RunError
from training.level import pinball, shares
from training.mixture import Mixture
from training.model import grades_of, to_input
from training.optimisation import Optimisation, cosine
from training.progress import EpochRecord, Progress, Report

VALIDATION_BATCH = 128

End = Literal["epochs", "steps", "patience", "time"]


class Loop:
    """One run's optimisation. `run` returns why it ended, `kept_network` its result.

    Each process computes its share of every step; the main one writes the checkpoint.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        network: nn.Module,
        train: ImageSet,
        validation: ImageSet,
        config: FitConfig,
        file: Path,
        *,
        mixture: Mixture | None = None,
        save_every: float = 60.0,
    ) -> None:
        """Takes up the checkpoint `file` where it exists. Raises RunError if it is another run's.

        mixture: `train` with synthetic images, which is then learned from in its place; an epoch
        is still as many images as `train` has.
        save_every: seconds between two checkpoints within an epoch; each epoch's end makes one too.
        """
        self.config = config
        self.progress = Progress()
        self.network = network
        self._accelerator = accelerator
        self._rank, self._processes = accelerator.process_index, accelerator.num_processes
        self._epoch_images, self._validation = len(train), validation
        learned = train if mixture is None else mixture.images
        self._labels = torch.from_numpy(learned.labels)
        self._pixels = torch.from_numpy(learned.images)
        self._shares: Tensor | None = None
        if config.level_weight is not None:
            self._shares = torch.from_numpy(shares(learned) / 100).float()
        self._weights: Tensor | None = None
        self._later: Tensor | None = None
        if mixture is not None:
            self._weights = torch.from_numpy(mixture.weights)
            self._later = torch.from_numpy(mixture.real_weights)
        elif is_balanced(config.augment):
            self._weights = sampling.balanced(self._labels)
        self._steps = sampling.steps_an_epoch(self._epoch_images, config.batch)
        self._check_shares()
        self.total = config.steps or (config.epochs or 0) * self._steps
        self._augment = Augmentation(config.augment, config.size)
        # Convolutions on CPUs are about a third faster with the channels of a pixel side by side.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._has_norms = mixture is not None and config.synthetic_norms == "auxiliary"
        trained = AuxiliaryNorms(network) if self._has_norms else network
        optimiser = torch.optim.Adam(trained.parameters(), lr=config.learning_rate)
        self._optimisation = Optimisation(
            accelerator, trained, optimiser, file, config.model_dump(), save_every=save_every
        )
        self._file = file
        before = self._optimisation.resume(later=LATER)
        if before is not None:
            self.progress = Progress(**before["progress"])

    def run(self, report: Report, *, deadline: float = math.inf) -> End:
        """Trains until all steps are done, validation stops improving, or time is up.

        deadline: of time.monotonic(). Raises RunError when the loss is no longer a number.
        """
        progress, config = self.progress, self.config
        # Of two convolutions on a GPU that give other last bits, always the same one.
        torch.backends.cudnn.deterministic = True
        # Killed while it validated, a run has taken all its steps, and not ended the last epoch.
        while len(progress.losses) < self.total or progress.step:
            if config.patience and progress.epoch - progress.best_epoch > config.patience:
                return "patience"
            epoch_started = time.monotonic()
            order = sampling.epoch_order(
                self._epoch_images, seed=config.seed, epoch=progress.epoch, weights=self._drawn_by()
            )
            while progress.step < self._steps and len(progress.losses) < self.total:
                if parallel.is_past(self._accelerator, deadline):
                    self._optimisation.save(self._state())
                    return "time"
                loss = self._step(order)
                report.step(len(progress.losses), self.total, loss)
                self._optimisation.save_when_due(self._state())
            report.epoch(self._end_epoch(time.monotonic() - epoch_started))
            self._optimisation.save(self._state())
        return "steps" if config.steps else "epochs"

    def _drawn_by(self) -> Tensor | None:
        """Each image's chance of being drawn in the epoch that begins, or is taken up."""
        until = self.config.synthetic_until
        begun = self.progress.epoch * self._steps
        if until is not None and self._later is not None and begun >= until * self.total:
            return self._later
        return self._weights

    def learning_rate(self, done: int) -> float:
        """Of the step after `done` steps: one epoch of linear warm-up, then a cosine to zero."""
        config = self.config
        warm_up = min(self._steps, self.total // 5)
        if config.schedule == "constant" and done >= warm_up:
            return config.learning_rate
        return cosine(config.learning_rate, done, self.total, warm_up)

    @property
    def kept_epoch(self) -> int:
        """Number of the epoch, from 0, whose weights are the run's result."""
        progress = self.progress
        return progress.best_epoch if self.config.keep == "best" else progress.epoch - 1

    def kept_network(self) -> nn.Module:
        """The network with the weights of `kept_epoch`, on the CPU, in full precision."""
        trained = self._optimisation.unwrapped()
        network = trained.network if isinstance(trained, AuxiliaryNorms) else trained
        if self.config.keep == "best" and self.progress.best_weights:
            network.load_state_dict(self.progress.best_weights)
        return network.cpu()

    def _state(self) -> dict[str, Any]:
        return {"progress": vars(self.progress)}

    def _step(self, order: Tensor) -> float:
        """One batch; its loss over all processes. Leaves `progress` at the next step."""
        progress, config, device = self.progress, self.config, self._accelerator.device
        done = len(progress.losses)
        batch = sampling.step_images(order, progress.step, self._steps)
        chosen = sampling.share(batch, self._rank, self._processes)
        sampling.reseed(config.seed, progress.epoch, progress.step, self._rank)
        images = self._augment(to_input(self._pixels[chosen], device))
        model = self._optimisation.model.train()
        images = images.contiguous(memory_format=torch.channels_last)
        # Behind the real images of a mixture there are the synthetic ones.
        kinds = ((chosen >= self._epoch_images).to(device),) if self._has_norms else ()
        said = model(images, *kinds).float()
        loss = cross_entropy(
            grades_of(said),
            self._labels[chosen].to(device),
            label_smoothing=config.label_smoothing,
            reduction="sum",
        )
        if self._shares is not None and config.level_weight is not None:
            level = pinball(said[:, len(GRADES) :], self._shares[chosen].to(device))
            loss = loss + config.level_weight * level
        learning_rate = self.learning_rate(done)
        # Gradients are averaged over processes. So that every image counts the same, also where
        # the shares are not of one size, the sum is divided by the mean size of a share.
        self._optimisation.step(loss * self._processes / len(batch), learning_rate=learning_rate)
        value = float(self._accelerator.reduce(loss.detach(), "sum")) / len(batch)
        if not math.isfinite(value):
            raise self._diverged("loss", value, done + 1)
        progress.losses.append(value)
        progress.step += 1
        self._accelerator.log({"loss/train": value, "learning_rate": learning_rate}, step=done + 1)
        return value

    def _end_epoch(self, seconds: float) -> EpochRecord:
        """Validates, keeps the best weights, and leaves `progress` at the next epoch."""
        progress = self.progress
        val_loss, accuracy = self._validate()
        if not math.isfinite(val_loss):
            raise self._diverged("validation loss", val_loss, len(progress.losses))
        if val_loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = val_loss, progress.epoch
            progress.best_weights = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in self.network.state_dict().items()
            }
        record = EpochRecord(
            epoch=progress.epoch,
            train_loss=sum(progress.losses[-progress.step :]) / progress.step,
            val_loss=val_loss,
            val_accuracy=accuracy,
            learning_rate=self.learning_rate(len(progress.losses) - 1),
            seconds=round(seconds, 1),
        )
        self._accelerator.log(
            {"loss/validation": val_loss, "accuracy/validation": accuracy},
            step=len(progress.losses),
        )
        progress.history.append(record.model_dump())
        progress.epoch += 1
        progress.step = 0
        return record

    def _diverged(self, what: str, value: float, step: int) -> RunError:
        return RunError(
            f"{self._file.parent}: the {what} is {value} at step {step}; "
            "start again with a smaller --learning-rate or --precision fp32"
        )

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """(mean cross-entropy, accuracy) on the validation split, over all processes."""
        for buffer in self.network.buffers():
            broadcast(buffer)  # each process has seen other images; the main one's statistics count
        self.network.eval()
        device = self._accelerator.device
        images = torch.from_numpy(self._validation.images)[self._rank :: self._processes]
        labels = torch.from_numpy(self._validation.labels)[self._rank :: self._processes]
        sums = torch.zeros(2, device=device)
        for start in range(0, len(labels), VALIDATION_BATCH):
            target = labels[start : start + VALIDATION_BATCH].to(device)
            batch = images[start : start + VALIDATION_BATCH]
            # With norms for synthetic images the network is not what the accelerator has prepared.
            with self._accelerator.autocast():
                logits = grades_of(self.network(to_input(batch, device)).float())
            sums[0] += cross_entropy(logits, target, reduction="sum")
            sums[1] += (logits.argmax(1) == target).sum()
        loss, right = cast("Tensor", self._accelerator.reduce(sums, "sum")).tolist()
        return loss / len(self._validation), right / len(self._validation)

    def _check_shares(self) -> None:
        """Batch norm needs two images a process at every step."""
        smallest = self._epoch_images // self._steps // self._processes
        if smallest < 2:
            raise RunError(
                f"{self._epoch_images} training images in batches of {self.config.batch} leave "
                f"{smallest} image(s) a step for one of {self._processes} process(es), 2 are "
                "needed; use more images, a larger --batch or fewer processes"
            )

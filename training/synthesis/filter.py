"""Stage 5: which synthetic images are kept, and how near the set is to the real one.

The judge is a logistic regression on the features of an EfficientNet-Lite0 trained on ImageNet,
fitted to real training images (its penalty chosen on the validation split). It knows nothing of
the networks that later train on what it lets through. A network trained on the same images can be
given instead, which may be right more often. The features tell near-copies in either case.

A judge that learnt few images of a grade says so seldom, and would throw away most of what was made
for just that grade. So none is asked for more than it grants the grade's own images: see `bars`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES
from training import baselines
from training.data.dataset import ImageSet
from training.evaluation import Report
from training.model import TrainedModel
from training.synthesis import scores
from training.synthesis.config import FilterSection
from training.synthesis.features import SPACE, RealFeatures, features_of

COPY_QUANTILE: Final = 0.01
"""A synthetic image is a near-copy when it lies nearer to a training image, or to a mirror image of
one, than this share of the training images lie to those of another truck."""
COPIES: Final = "mirrored too"
"""What counts as a copy: sets and runs of another rule are others."""

Verdict = Literal["kept", "judged otherwise", "near-copy"]


@dataclass(frozen=True)
class Judged:
    """What was found of n synthetic images.

    overlap: (n,), sum over grades of min(judged, asked for). nearest: (n,), distance to the nearest
    training image or mirror image of one, over the distance that makes a near-copy.
    """

    overlap: npt.NDArray[np.float64]
    nearest: npt.NDArray[np.float64]
    verdicts: tuple[Verdict, ...]
    features: scores.Features


class Judge:
    """Fitted once to the real images, or given as a network that was."""

    def __init__(
        self,
        train: ImageSet,
        validation: ImageSet,
        real: RealFeatures,
        report: Report,
        network: TrainedModel | None = None,
    ) -> None:
        """real: of these images."""
        self.train = train
        self._report = report
        # Candidates are mirrored at random, and a copy stays one in the mirror.
        self._real = real
        self._network = network
        self.penalty: float | None = None
        if network is None:
            self._model, self.penalty = baselines.fitted(
                (real.train, train), (real.validation, validation)
            )
            said = baselines.probabilities(self._model, real.validation)
        else:
            said = network.probabilities(validation.images)
        self.validation_accuracy = float((said.argmax(1) == validation.labels).mean())
        self._granted = [
            said[validation.labels == index, index].astype(np.float64)
            for index in range(len(GRADES))
        ]
        self.copy_distance = self._copy_distance()

    def bars(self, config: FilterSection) -> npt.NDArray[np.float64]:
        """(5,): the least overlap that a candidate of each grade needs. `config.overlap`, or what
        all but the share `config.strictness` of the grade's validation images have of their own
        grade, where that is less."""
        return np.array(
            [
                min(config.overlap, float(np.quantile(granted, config.strictness)))
                if len(granted)
                else config.overlap
                for granted in self._granted
            ]
        )

    def judge(
        self,
        images: npt.NDArray[np.uint8],
        soft_labels: npt.NDArray[np.float32],
        labels: npt.NDArray[np.int64],
        config: FilterSection,
    ) -> Judged:
        """images: uint8 RGB (n, h, w, 3). soft_labels: (n, 5), what they were asked to be. labels:
        (n,), the grade that they are to stand for."""
        features = features_of(images, "candidates", self._report)
        said = (
            baselines.probabilities(self._model, features)
            if self._network is None
            else self._network.probabilities(images)
        )
        overlap = np.minimum(said, soft_labels).sum(1).astype(np.float64)
        distance = self._nearest(features) / self.copy_distance
        verdicts: list[Verdict] = [
            "near-copy"
            if d < 1 and config.copies == "drop"
            else "kept"
            if o >= bar
            else "judged otherwise"
            for o, d, bar in zip(overlap, distance, self.bars(config)[labels], strict=True)
        ]
        return Judged(overlap, distance, tuple(verdicts), features)

    def report(
        self, judged: Judged, labels: npt.NDArray[np.int64], config: FilterSection
    ) -> dict[str, Any]:
        """Of each grade that has candidates: verdicts, memorisation rate, scores.

        memorisation_rate: share of candidates that are near-copies, dropped or not. of_kept: see
        `scores.scores`, against the real training images of the grade; of_candidates: the same of
        all.
        """
        verdicts, bars = np.array(judged.verdicts), self.bars(config)
        found: dict[str, Any] = {}
        for index, grade in enumerate(GRADES):
            ours = labels == index
            if not ours.any():
                continue
            kept = ours & (verdicts == "kept")
            real = self._real.train[self.train.labels == index]
            found[grade.value] = {
                "candidates": int(ours.sum()),
                **{v: int((ours & (verdicts == v)).sum()) for v in ("kept", "judged otherwise")},
                "near_copies": int((ours & (verdicts == "near-copy")).sum()),
                "memorisation_rate": float((judged.nearest[ours] < 1).mean()),
                "least_overlap": float(bars[index]),
                "median_overlap": float(np.median(judged.overlap[ours])),
                "of_candidates": scores.scores(real, judged.features[ours]),
                "of_kept": scores.scores(real, judged.features[kept]),
            }
        return {
            "feature_space": SPACE,
            "judge": {
                "model": "logistic regression"
                if self._network is None
                else self._network.card.classifier,
                "penalty_c": self.penalty,
                "validation_accuracy": self.validation_accuracy,
            },
            "copy_distance": self.copy_distance,
            "grades": found,
        }

    def _nearest(
        self,
        features: scores.Features,
        *,
        apart: tuple[scores.Groups, scores.Groups] | None = None,
    ) -> npt.NDArray[np.float64]:
        """As `scores.nearest`, to the training images, mirrored or not."""
        distances = [scores.nearest(features, way, apart=apart) for way in self._real.ways]
        return np.asarray(np.min(distances, axis=0), np.float64)

    def _copy_distance(self) -> float:
        """See COPY_QUANTILE. Images of one truck do not count: they are alike by nature."""
        _, trucks = np.unique([row.truck for row in self.train.rows], return_inverse=True)
        least = self._nearest(self._real.train, apart=(trucks, trucks))
        tiny = float(np.finfo(np.float64).tiny)
        if not np.isfinite(least).all():  # there is one truck
            return tiny
        return max(float(np.quantile(least, COPY_QUANTILE)), tiny)

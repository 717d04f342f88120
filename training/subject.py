"""What can be asked of images: a checkpoint here, a bundle in the exporter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES
from training import level
from training.data.dataset import ImageSet
from training.data.description import Area
from training.model import ModelCard, Said, TrainedModel


@dataclass(frozen=True)
class Subject:
    """A model that can be asked of images, whatever holds it: a checkpoint, a bundle.

    described: what metrics.json says of it. size: of the images it takes, in pixels. threshold: the
    confidence below which a person is asked. data_digest: of the data it was trained on.
    agreement: by which these were labelled; None where that is not known. classes: their labels
    that had other names, and the grades these were learned as; None where nobody has written it.
    graded_area: the part of the camera's frame that they showed; None where that is not known.
    mixture: in which grades come where its decisions are adjusted for it, (5,).
    answers: to images of that size, calibrated probabilities, float32 (n, 5), and the figures of
    its second head, None where there are none. packages: which its answers depend on, beside
    those of `provenance.versions`.
    """

    described: dict[str, Any]
    size: int
    threshold: float
    data_digest: str
    agreement: float | None
    classes: Mapping[str, str] | None
    answers: Callable[[ImageSet], tuple[npt.NDArray[np.float32], dict[str, Any] | None]]
    packages: tuple[str, ...] = ()
    graded_area: Area | None = None
    mixture: npt.NDArray[np.float64] | None = None


def subject_of(model: TrainedModel) -> Subject:
    """A checkpoint, to be asked."""
    card, trained = model.card, model.card.training
    config, data = trained.get("config", {}), trained.get("data", {})

    def answers(images: ImageSet) -> tuple[npt.NDArray[np.float32], dict[str, Any] | None]:
        said = model.says(images.images)
        return said.probabilities, level_figures(card, said, images)

    return Subject(
        {
            "classifier": card.classifier,
            "size": card.size,
            "sha256": model.sha256,
            "seed": config.get("seed"),
            "data_digest": data.get("digest"),
        },
        card.size,
        card.confidence_threshold,
        str(data.get("digest")),
        config.get("agreement"),
        data.get("classes"),
        answers,
        graded_area=area_of(data),
        mixture=mixture_of(trained),
    )


def mixture_of(trained: Mapping[str, Any]) -> npt.NDArray[np.float64] | None:
    """In which grades come where a run's decisions are adjusted, by its metrics.json; None where
    they are not."""
    if "adjusted_for" not in trained:
        return None
    return np.array([trained["adjusted_for"]["mixture"][grade] for grade in GRADES])


def area_of(data: Mapping[str, Any]) -> Area | None:
    """The part of the camera's frame that a run has learned from, by its metrics.json's `data`;
    None where the data or, in earlier versions, the run did not say."""
    found = data.get("graded_area")
    return None if found is None else tuple(found)


def level_figures(card: ModelCard, said: Said, images: ImageSet) -> dict[str, Any] | None:
    """Of the second head; None without one, and where too few shares are known."""
    if said.levels is None or card.level is None:
        return None
    return level.figures(said.levels, said.probabilities, images, card.level)

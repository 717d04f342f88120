"""Everything that decides what a training run computes."""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from training.data.labels import AGREEMENT

Augment = Literal["none", "oversample", "study", "camera"]
Precision = Literal["fp32", "bf16", "fp16"]
Schedule = Literal["cosine", "constant"]
Keep = Literal["best", "last"]
Norms = Literal["auxiliary"]

LEVEL_COVERAGE: Final = 0.9
"""Share of new loads whose trash share is to lie within the second head's interval."""

LATER: Final = frozenset({"synthetic_until", "masks_regions_trucks"})
"""Fields that runs of earlier versions do not have, whatever they were: such a run is taken to have
had what is asked for now."""
ABSENT: Final = frozenset({"weights_pixels", "augment_revision", "synthetic_norms"})
"""Fields that earlier versions did not write either. Without one of these a run had none of it, or
another."""


class FitConfig(BaseModel):
    """A run resumes only under the same one.

    epochs, steps: how long to train; one of them. patience: None is never to stop early.
    batch: images an optimiser step, over all processes together.
    keep: whose weights are the result: the epoch's of least validation loss, or the last one's.
    augment, augment_revision: see `training.augmentation`. processes: how many compute the run.
    weights_sha256, weights_pixels: of the file that the run starts from, and what pixel values that
        was trained on (see `classifiers.pixels`). None without one.
    level_weight: of the second head's loss beside the classifier's; level_sha256: of what it learns
        from. None without one (see `level`).
    synthetic_recipe: a digest of how the synthetic images of a study's arm are made;
    masks_regions_trucks: of what they are made by of these, beside the training images.
    synthetic_sha256, synthetic_shares, synthetic_shuffled: see `training.mixture`.
    synthetic_until: the part of the steps after which, from the next epoch on, only real images are
        drawn; None for all of them. synthetic_norms: by which batch norms they go, see
        `training.auxiliary_norms`; None is by those of the real images. All of these are None
        without synthetic images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classifier: str = "mobilenetv2"
    size: int = Field(default=128, ge=32, le=1024)
    epochs: int | None = Field(default=50, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Schedule = "cosine"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    patience: int | None = Field(default=5, ge=1)
    keep: Keep = "best"
    seed: int = Field(default=1, ge=0)
    augment: Augment = "study"
    augment_revision: int | None = None
    precision: Precision = "fp32"
    processes: int = Field(default=1, ge=1)
    agreement: float = Field(default=AGREEMENT, gt=0, le=1)
    weights_sha256: str | None = None
    weights_pixels: str | None = None
    level_weight: float | None = Field(default=None, gt=0)
    level_sha256: str | None = None
    synthetic_recipe: str | None = None
    masks_regions_trucks: str | None = None
    synthetic_sha256: str | None = None
    synthetic_shares: tuple[float, ...] | None = None
    synthetic_shuffled: bool | None = None
    synthetic_until: float | None = Field(default=None, gt=0, lt=1)
    synthetic_norms: Norms | None = None
    data_digest: str = ""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give epochs or steps, one of them")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without new fields where there is none: as earlier versions wrote it."""
        found: dict[str, Any] = dump(self)
        return {
            n: value for n, value in found.items() if n not in LATER | ABSENT or value is not None
        }

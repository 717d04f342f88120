"""What a study trains: its arms, its presets, its runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from training.classifiers.registry import classifier
from training.config import Augment, FitConfig, Precision
from training.errors import TrainingError

Preset = Literal["fast", "cpu", "gpu"]

ARMS: Final[Mapping[str, Augment]] = MappingProxyType({"baseline": "none", "augmented": "study"})
"""What is done to the training images in each arm, see `training.augmentation`."""

MODELS: Final = ("simple_dcnn", "resnet50v2", "mobilenetv2")


class StudyConfig(BaseModel):
    """Everything that decides what a study computes, apart from its data.

    Every run takes the same number of optimiser `steps`, of `batch` images each, whatever the
    model and the arm. seeds: one run of each model and arm for each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = Field(default=MODELS, min_length=1)
    arms: tuple[str, ...] = Field(default=tuple(ARMS), min_length=1)
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    size: int = Field(ge=32, le=1024)
    steps: int = Field(ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    precision: Precision = "fp32"
    agreement: float = Field(default=0.6, gt=0, le=1)

    @field_validator("models", "arms", "seeds")
    @classmethod
    def _once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(values)) < len(values):
            raise ValueError("names one twice")
        return values

    def check(self) -> None:
        """Raises TrainingError for a model or an arm that there is not."""
        for model in self.models:
            classifier(model)
        for arm in self.arms:
            if arm not in ARMS:
                raise TrainingError(f"no arm is called {arm!r}; choose among {', '.join(ARMS)}")

    def runs(self) -> Iterator[Run]:
        """All runs, seed after seed."""
        for seed in self.seeds:
            for model in self.models:
                for arm in self.arms:
                    yield Run(model, arm, seed)

    def fit(self, run: Run) -> FitConfig:
        """What `training.train.fit` is asked for: no early stop, no choice among epochs."""
        return FitConfig(
            classifier=run.model,
            size=self.size,
            epochs=None,
            steps=self.steps,
            batch=self.batch,
            learning_rate=self.learning_rate,
            patience=None,
            keep="last",
            seed=run.seed or 0,
            augment=ARMS[run.arm],
            precision=self.precision,
            agreement=self.agreement,
        )


@dataclass(frozen=True)
class Run:
    """One training of a study. seed: None for baselines, which draw no random numbers."""

    model: str
    arm: str
    seed: int | None

    @property
    def name(self) -> str:
        """Of its folder in the study's."""
        parts = (self.model, self.arm) if self.seed is None else (self.model, self.arm, self.seed)
        return "-".join(map(str, parts))

    def folder(self, out: Path) -> Path:
        """Where its files lie."""
        return out / self.name


PRESETS: Final[Mapping[Preset, StudyConfig]] = MappingProxyType(
    {
        "fast": StudyConfig(size=48, steps=60, batch=32),
        "cpu": StudyConfig(size=96, steps=800, batch=64),
        "gpu": StudyConfig(size=224, steps=4000, batch=64, seeds=(1, 2, 3)),
    }
)
"""fast: does it run at all, in minutes. cpu: hours on two cores. gpu: three seeds at 224 px."""

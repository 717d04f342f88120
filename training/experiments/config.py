"""What a study trains: its arms, its presets, its runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from training.augmentation import revision
from training.classifiers.registry import classifier
from training.config import Augment, FitConfig, Norms, Precision
from training.data.labels import AGREEMENT
from training.errors import TrainingError
from training.synthesis.config import PRESETS as SYNTHESIS
from training.synthesis.config import SynthesisConfig, mixed
from training.synthesis.filter import COPIES
from training.synthesis.recolour import DISTRIBUTION

Preset = Literal["fast", "cpu", "gpu"]


@dataclass(frozen=True)
class Arm:
    """What a run learns from.

    augment: see `training.augmentation`. synthesis: None without synthetic images; else how the
    arm's differ from the study's `synthesis`, by section. judged_by: the arm whose run of the same
    model and seed judges them; None for the usual judge. until: the part of the steps after which,
    from the next epoch on, only real images are drawn; None for all. shuffled: see
    `mixture.Synthetic`. rendered: the further images are given, and not synthesized. norms: by
    which batch norms they go, see `FitConfig`.
    """

    augment: Augment
    synthesis: Mapping[str, Mapping[str, Any]] | None = None
    judged_by: str | None = None
    until: float | None = None
    shuffled: bool = False
    rendered: bool = False
    norms: Norms | None = None

    @property
    def is_enriched(self) -> bool:
        """Has it images that are not of the training split?"""
        return self.synthesis is not None or self.rendered


_SINGLE: Final = {"method": "single"}
_RECOLOURED: Final = {"method": "translate", "strength": 0.0}
_RECOLOURED_SINGLE: Final = {"method": "translate-single", "strength": 0.0}
_MATCHED: Final = {"colours": "distribution"}
_MATCHED_SINGLE: Final = _RECOLOURED_SINGLE | _MATCHED
_PARTNERS: Final = {"partners": True}
_UNFILTERED: Final = {"overlap": 0.0, "copies": "keep"}

ARMS: Final[Mapping[str, Arm]] = MappingProxyType(
    {
        "baseline": Arm("none"),
        "oversampled": Arm("oversample"),
        "augmented": Arm("study"),
        "synthesized": Arm("study", {}),
        # What the parts of a synthesis are worth:
        "synthesized-plain": Arm("none", {}),
        "synthesized-first": Arm("study", {}, until=0.5),
        "synthesized-paired": Arm("study", {"generate": _PARTNERS}),
        "synthesized-norms": Arm("study", {}, norms="auxiliary"),
        "blended": Arm("study", {"generate": {"strength": 0.0}}),
        "blended-first": Arm("study", {"generate": {"strength": 0.0}}, until=0.5),
        "blended-paired": Arm("study", {"generate": {"strength": 0.0} | _PARTNERS}),
        "blended-alpha": Arm("study", {"generate": {"strength": 0.0, "method": "alpha"}}),
        "blended-plain": Arm("none", {"generate": {"strength": 0.0}}),
        "unblended": Arm("study", {"generate": _SINGLE}),
        "translated": Arm("study", {"generate": {"method": "translate"}}),
        "translated-50": Arm("study", {"generate": {"method": "translate", "strength": 0.5}}),
        "recoloured": Arm("study", {"generate": _RECOLOURED}),
        "recoloured-unfiltered": Arm("study", {"generate": _RECOLOURED, "filter": _UNFILTERED}),
        "recoloured-single": Arm("study", {"generate": _RECOLOURED_SINGLE}),
        "recoloured-single-plain": Arm("none", {"generate": _RECOLOURED_SINGLE}),
        "matched": Arm("study", {"generate": _RECOLOURED | _MATCHED}),
        "matched-single": Arm("study", {"generate": _MATCHED_SINGLE}),
        "matched-single-plain": Arm("none", {"generate": _MATCHED_SINGLE}),
        "matched-single-paired": Arm("study", {"generate": _MATCHED_SINGLE | _PARTNERS}),
        "matched-single-norms": Arm("study", {"generate": _MATCHED_SINGLE}, norms="auxiliary"),
        "matched-single-first": Arm("study", {"generate": _MATCHED_SINGLE}, until=0.5),
        "matched-single-unfiltered": Arm(
            "study", {"generate": _MATCHED_SINGLE, "filter": _UNFILTERED}
        ),
        "matched-single-shuffled": Arm("study", {"generate": _MATCHED_SINGLE}, shuffled=True),
        "recoloured-shuffled": Arm("study", {"generate": _RECOLOURED}, shuffled=True),
        "image-to-image-30": Arm("study", {"generate": {"strength": 0.3}}),
        "image-to-image-50": Arm("study", {"generate": {"strength": 0.5}}),
        "image-to-image-70": Arm("study", {"generate": {"strength": 0.7}}),
        "uncontrolled": Arm("study", {"diffuse": {"control": "none"}}),
        "frozen-base": Arm("study", {"diffuse": {"control": "frozen"}}),
        "regionless": Arm("study", {"diffuse": {"regions": False}}),
        "region-adapters": Arm("study", {"diffuse": {"regions": False}, "adapt": {}}),
        "unfiltered": Arm("study", {"filter": _UNFILTERED}),
        "judged": Arm("study", {}, judged_by="baseline"),
        "unblended-judged": Arm("study", {"generate": _SINGLE}, judged_by="baseline"),
        "unblended-judged-plain": Arm("none", {"generate": _SINGLE}, judged_by="baseline"),
        "shuffled": Arm("study", {}, shuffled=True),
        "rendered": Arm("study", rendered=True),
    }
)
USUAL: Final = ("baseline", "augmented")
"""Arms of a study that names none."""

MODELS: Final = ("simple_dcnn", "resnet50v2", "mobilenetv2")

Share = Annotated[float, Field(gt=0, lt=1)]
"""Of synthetic images among those of a grade that are drawn."""
HALF: Final = 0.5

METHOD: Final = 3
"""Raised when what arms with synthetic images do changes otherwise than by their configuration:
runs from before are then another study's. 2: the rule by which shares are chosen. 3: by it all
grades count alike."""
DIFFUSION: Final = 3
"""The same, of arms whose images a diffusion model of ours draws. 3: its linear part expects
colours of what is told."""


class StudyConfig(BaseModel):
    """Everything that decides what a study computes, apart from its data.

    Every run takes the same number of optimiser `steps`, of `batch` images each, whatever the
    model and the arm. seeds: one run of each model and arm for each. synthesis: of the arms that
    learn from synthetic images; its size, seed, agreement and precision are the study's.
    rendered_digest: of the dataset that the arm `rendered` learns from. shares: of synthetic
    images, among which each grade of those arms chooses, beside none. masks_regions_trucks: see
    `synthesis.pipeline.guidance_digest`; the study finds it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = Field(default=MODELS, min_length=1)
    arms: tuple[str, ...] = Field(default=USUAL, min_length=1)
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    size: int = Field(ge=32, le=1024)
    steps: int = Field(ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    precision: Precision = "fp32"
    agreement: float = Field(default=AGREEMENT, gt=0, le=1)
    synthesis: SynthesisConfig = SynthesisConfig()
    rendered_digest: str | None = None
    shares: tuple[Share, ...] = Field(default=(HALF,), min_length=1)
    masks_regions_trucks: str | None = None

    @field_validator("models", "arms", "seeds", "shares")
    @classmethod
    def _once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(values)) < len(values):
            raise ValueError("names one twice")
        return values

    @property
    def tried_shares(self) -> tuple[float, ...]:
        """None, and then these."""
        return (0.0, *self.shares)

    def check(self) -> None:
        """Raises TrainingError for a model or an arm that there is not."""
        for model in self.models:
            classifier(model)
        for arm in self.arms:
            if arm not in ARMS:
                raise TrainingError(f"no arm is called {arm!r}; choose among {', '.join(ARMS)}")
            if ARMS[arm].rendered and self.rendered_digest is None:
                raise TrainingError(f"arm {arm}: needs --rendered, a dataset of further images")
            if ARMS[arm].synthesis is not None:
                self.synthesis_of(arm)

    def runs(self) -> Iterator[Run]:
        """All runs, seed after seed; those that another run judges come after it."""
        arms = sorted(self.arms, key=lambda arm: ARMS[arm].judged_by is not None)
        for seed in self.seeds:
            for model in self.models:
                for arm in arms:
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
            augment=ARMS[run.arm].augment,
            augment_revision=revision(ARMS[run.arm].augment),
            synthetic_recipe=self._recipe(run.arm),
            masks_regions_trucks=(
                None if ARMS[run.arm].synthesis is None else self.masks_regions_trucks
            ),
            synthetic_until=ARMS[run.arm].until,
            synthetic_norms=ARMS[run.arm].norms,
            precision=self.precision,
            agreement=self.agreement,
        )

    def synthesis_of(self, arm: str) -> SynthesisConfig:
        """How an arm's synthetic images are made. Raises pydantic's ValidationError."""
        found = self.synthesis.model_dump()
        for section, changes in (ARMS[arm].synthesis or {}).items():
            found[section] = {**(found[section] or {}), **changes}
        found |= {"size": self.size, "seed": self.seeds[0], "agreement": self.agreement}
        found["precision"] = mixed(self.precision)
        return SynthesisConfig.model_validate(found)

    def _recipe(self, arm: str) -> str | None:
        if ARMS[arm].rendered:
            if self.rendered_digest is None:
                return None
            parts = ["rendered", self.rendered_digest, str(self.seeds[0])]
        elif ARMS[arm].synthesis is None:
            return None
        else:
            asked = self.synthesis_of(arm)
            parts = [asked.model_dump_json(exclude_none=True), ARMS[arm].judged_by or ""]
            if asked.filter.copies == "drop":
                parts.append(COPIES)
            if asked.generate.strength > 0 and asked.diffuse.backbone is None:
                parts.append(str(DIFFUSION))
                if asked.adapt is not None:
                    parts.append("adapters with the mean of the region")
            if asked.generate.colours == "distribution":
                parts.append(DISTRIBUTION)
        if self.shares != (HALF,):
            parts.append(f"shares {self.shares}")
        return hashlib.sha256("\n".join([str(METHOD), *parts]).encode()).hexdigest()


@dataclass(frozen=True)
class Run:
    """One training of a study. seed: None for baselines, which draw no random numbers."""

    model: str
    arm: str
    seed: int | None

    @property
    def judge(self) -> Run | None:
        """The run that judges what this one learns from; None without one."""
        arm = ARMS[self.arm].judged_by if self.arm in ARMS else None
        return None if arm is None else Run(self.model, arm, self.seed)

    def chooser(self, seeds: Sequence[int]) -> Run:
        """The run that chooses its shares of synthetic images: that with the first of the study's
        seeds; itself where another run judges the images, which then differ with the seed."""
        return self if self.judge is not None else Run(self.model, self.arm, seeds[0])

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
        "fast": StudyConfig(size=48, steps=60, batch=32, synthesis=SYNTHESIS["fast"]),
        "cpu": StudyConfig(size=96, steps=3200, batch=64),
        "gpu": StudyConfig(
            size=224, steps=4000, batch=64, seeds=(1, 2, 3), synthesis=SYNTHESIS["gpu"]
        ),
    }
)
"""fast: does it run at all, in minutes. cpu: hours on two cores. gpu: three seeds at 224 px."""

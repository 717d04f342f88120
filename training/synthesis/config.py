"""Everything that decides what a synthesis computes, apart from its data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.config import Precision
from training.data.labels import AGREEMENT
from training.synthesis.bases import TRANSLATE, TRANSLATE_SINGLE, Way
from training.synthesis.blend import LEVELS
from training.synthesis.denoiser import Control

Preset = Literal["fast", "cpu", "gpu"]
Mixed = Literal["bf16", "fp16"]


def mixed(precision: Precision) -> Mixed | None:
    """`precision` as a SynthesisConfig has it: runs in full precision are named as if there were no
    other."""
    return None if precision == "fp32" else precision


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


BACKBONE_LEARNING_RATE: Final = 1e-5
"""For weights that have seen millions of images; a network of ours starts from nothing."""


class SegmentSection(_Section):
    """The U-Net's training. widths: channels of each resolution."""

    widths: tuple[int, ...] = Field(default=(24, 48, 96, 192), min_length=2)
    steps: int = Field(default=600, ge=1)
    batch: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)


class DiffuseSection(_Section):
    """The diffusion model and its training; see `denoiser.Architecture`.

    backbone: a latent diffusion model to start from, a folder or a name on the hub (see
        `backbone`); what it looks like is then given. backbone_digest: of what lies there, which
        `pipeline.synthesize` finds out.
    edge_weight: lambda of the loss in `diffuse`. regions: whether there is an embedding of them.
    """

    patch: int = Field(default=2, ge=1)
    widths: tuple[int, ...] = Field(default=(32, 64, 96, 128), min_length=2)
    layers: int = Field(default=1, ge=1)
    attention: int = Field(default=2, ge=1)
    control: Control = "joint"
    regions: bool = True
    steps: int = Field(default=2400, ge=1)
    batch: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    edge_weight: float = Field(default=0.02, ge=0)
    ema: float = Field(default=0.995, gt=0, lt=1)
    backbone: str | None = None
    backbone_digest: str | None = None


class AdaptSection(_Section):
    """Adapters by region beside a finished diffusion model; see `adapters`. steps: for each."""

    rank: int = Field(default=8, ge=1)
    steps: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)


class GenerateSection(_Section):
    """What is drawn.

    method: how blends are made; `single` makes none: each candidate begins with one load of its
        grade; `translate` gives blends of the commoner kind of cane the colours of the scarce kind
        (see `recolour`), as Diff-Mix translates images from class to class (arXiv:2403.19600);
        `translate-single` does so with one load each, for photographs of single things.
    colours: how they get them, see `recolour.Transfer`; None is by moments.
    levels: of blends. surplus: candidates for each image that a grade lacks beside the commonest
        one, as the filter takes some away. partners: where true, both grades of a pair get as many,
        the commonest one too, so that what making leaves behind in images does not tell the grade.
    steps, guidance: of the sampler; see `diffuse.sample`. strength: 1 starts from noise; less from
        the blend itself, as image to image; 0 takes the blend as it is.
    """

    method: Way = "segment"
    colours: Literal["distribution"] | None = None
    levels: tuple[int, ...] = Field(default=LEVELS, min_length=2)
    surplus: float = Field(default=1.5, ge=1)
    partners: bool | None = None
    steps: int = Field(default=20, ge=1)
    guidance: float = Field(default=2.0, ge=0)
    strength: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _colours_are_of_another(self) -> GenerateSection:
        if self.colours is not None and self.method not in (TRANSLATE, TRANSLATE_SINGLE):
            raise ValueError(
                f"colours: with method {self.method} no load gets another's; say {TRANSLATE} or "
                f"{TRANSLATE_SINGLE}"
            )
        return self


class FilterSection(_Section):
    """What is kept. The judge is fitted to the real training images, see `filter`.

    overlap: least sum over grades of min(judged, asked for), from 0 to 1. strictness: of a grade
        whose real images often fall short of that, the quantile of theirs is asked for instead.
    copies: whether near-copies of training images are dropped. judge: a model that judges instead,
        a run folder of `cane-train fit` on the same dataset. judge_digest: of its file, which
        `pipeline.synthesize` finds out.
    """

    overlap: float = Field(default=0.5, ge=0, le=1)
    strictness: float = Field(default=0.25, ge=0, le=1)
    copies: Literal["drop", "keep"] = "drop"
    judge: str | None = None
    judge_digest: str | None = None


class SynthesisConfig(_Section):
    """A run directory belongs to one of these.

    size: of all images, in pixels. precision: what networks are trained in; None is fp32, drawing
        and measuring always are. adapt: None without adapters, which take the place of the
        embedding of regions.
    """

    size: int = Field(default=96, ge=32, le=1024)
    seed: int = Field(default=1, ge=0)
    agreement: float = Field(default=AGREEMENT, gt=0, le=1)
    precision: Mixed | None = None
    segment: SegmentSection = SegmentSection()
    diffuse: DiffuseSection = DiffuseSection()
    adapt: AdaptSection | None = None
    generate: GenerateSection = GenerateSection()
    filter: FilterSection = FilterSection()

    @model_validator(mode="after")
    def _size_can_be_halved(self) -> SynthesisConfig:
        step = self.diffuse.patch * 2 ** (len(self.diffuse.widths) - 1)
        draws = self.generate.strength > 0 and self.diffuse.backbone is None
        if draws and self.size % step:
            near = max(step, self.size // step * step)
            raise ValueError(
                f"size {self.size}: the diffusion model halves it, so it must be a multiple of "
                f"{step}, such as {near} or {near + step}"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_tell_regions(self) -> SynthesisConfig:
        if self.adapt is not None and self.diffuse.regions:
            raise ValueError("adapters stand in the place of the embedding: set regions to false")
        return self


PRESETS: Final[Mapping[Preset, SynthesisConfig]] = MappingProxyType(
    {
        "fast": SynthesisConfig(
            size=32,
            segment=SegmentSection(widths=(8, 16, 24), steps=40),
            diffuse=DiffuseSection(widths=(32, 32), attention=1, steps=25, batch=8),
            generate=GenerateSection(steps=4, surplus=1.0),
        ),
        "cpu": SynthesisConfig(),
        "gpu": SynthesisConfig(
            size=256,
            segment=SegmentSection(widths=(32, 64, 128, 256), steps=3000, batch=32),
            diffuse=DiffuseSection(
                widths=(64, 128, 256, 512),
                layers=2,
                steps=20_000,
                batch=64,
                learning_rate=4e-4,
                ema=0.9995,
            ),
            generate=GenerateSection(steps=25, surplus=2.0),
        ),
    }
)
"""fast: does it run at all, in minutes. cpu: hours on two cores. gpu: 256 px. A study has a size of
its own."""

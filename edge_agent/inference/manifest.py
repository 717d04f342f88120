"""The manifest of a model bundle: what the agent must know before it lets a model grade."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from edge_agent.grades import GRADES, Grade
from edge_agent.inference.level import GoldenLevel, LevelGate, LevelSpec
from edge_agent.inference.parts import Fraction, Part

FORMAT: Final = 1
"""Version of the bundle format of a model that grades, and does nothing else."""
FORMAT_WITH_LEVEL: Final = 2
"""That of a model with a second output, which agents that read format 1 alone refuse."""

Precision = Literal["fp32", "fp16-weights", "int8"]

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class GradedArea(Part):
    """The part of the camera's frame that is graded, as fractions of its width and height.

    What lies outside (time stamps and other overlays of the camera) never reaches the model.
    """

    left: Fraction = 0.0
    top: Fraction = 0.04
    right: Fraction = 1.0
    bottom: Fraction = 0.96

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.right - self.left < 0.1 or self.bottom - self.top < 0.1:
            raise ValueError("graded area is smaller than a tenth of the frame")
        return self

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels of a width x height frame.

        Rounded to even numbers, because 4:2:0 chroma cannot be cut at odd ones.
        """
        return (
            round(self.left * width / 2) * 2,
            round(self.top * height / 2) * 2,
            round(self.right * width / 2) * 2,
            round(self.bottom * height / 2) * 2,
        )


class InputSpec(Part):
    """The model's input: uint8 RGB, shape (batch, height, width, 3), resized by area."""

    name: str = "image"
    width: int = Field(ge=32, le=1024)
    height: int = Field(ge=32, le=1024)
    color: Literal["rgb"] = "rgb"
    resize: Literal["area"] = "area"
    graded_area: GradedArea = GradedArea()


class GoldenImage(Part):
    """One image in the bundle and the probabilities the model must give for it.

    split: which split of the training data it is from; never the test split.
    level: where the model estimates it.
    """

    path: str = Field(pattern=r"^golden/[A-Za-z0-9_.-]+\.png$")
    grade: Grade
    split: Literal["train", "val"] | None = None
    probabilities: tuple[Fraction, ...] = Field(min_length=len(GRADES), max_length=len(GRADES))
    level: GoldenLevel | None = None


class Parity(Part):
    """How close ONNX Runtime is to torch with the same weights, on images of the split.

    For int8, of the graph that was quantised. max_difference: max |dp|; all decisions are equal.
    max_level_difference: of low, middle and high, in points.
    """

    split: Literal["val"] = "val"
    images: int = Field(ge=1)
    max_difference: float = Field(ge=0)
    max_level_difference: float | None = Field(default=None, ge=0)


class PrecisionGate(Part):
    """Whether a smaller form of the weights decides as the trained network does.

    agreement: share of equal decisions. macro_f1: of the smaller form, against the labels.
    level: the same of the level, where the model estimates it.
    passed: agreement >= min_agreement, macro_f1_trained - macro_f1 <= max_macro_f1_loss, and the
        level is within its limits.
    """

    tried: Literal["fp16-weights", "int8"]
    split: Literal["val"] = "val"
    images: int = Field(ge=1)
    agreement: Fraction
    min_agreement: Fraction
    macro_f1: Fraction
    macro_f1_trained: Fraction
    max_macro_f1_loss: Fraction
    level: LevelGate | None = None
    passed: bool
    reason: str


class Int8Record(Part):
    """How a graph was quantised (QDQ: QuantizeLinear and DequantizeLinear around each operator).

    float_operators: names of the operators left in 32 bits.
    """

    weights: Literal["int8, a scale a channel"] = "int8, a scale a channel"
    activations: Literal["uint8"] = "uint8"
    calibration: Literal["moving average of min and max"] = "moving average of min and max"
    calibration_split: Literal["train"] = "train"
    calibration_images: int = Field(ge=1)
    float_operators: tuple[str, ...]


class TrainingRecord(Part):
    """Where the model comes from.

    classes: what the labels were called where the data came from, and the grade each became; not
        empty where a model of other pictures than graded loads uses the grades as slots.
    """

    command: str
    data_digest: str
    data_name: str = ""
    images: int | None = Field(default=None, ge=1)
    trucks: int | None = Field(default=None, ge=1)
    splits: dict[str, int] = Field(default_factory=dict)
    classes: dict[str, Grade] = Field(default_factory=dict)
    seed: int
    machine: str
    versions: dict[str, str]
    metrics: dict[str, float]


class Manifest(Part):
    """manifest.json of a bundle.

    precision: fp32; fp16-weights, stored in 16 bits and computed in 32; int8, computed in 8 bits.
    stored_values: how many values the file holds in each of ONNX's data types.
    precision_gate: of the smaller form that was tried, whether it is the one in the bundle or not.
    golden_tolerance: allowed max |dp| of the golden images.
    level: of the second output, where the model has one; the format is 2 then, else 1.

    What has a default of None or empty is missing from bundles of early exporters; the agent runs
    them, `cane-export check` asks for a new export.
    """

    format: Literal[1, 2] = FORMAT
    name: Name
    version: Version
    created_at: AwareDatetime
    description: str
    labels: tuple[Grade, ...]
    input: InputSpec
    output_name: str = "probabilities"
    level: LevelSpec | None = None
    precision: Precision
    stored_values: dict[str, int] = Field(default_factory=dict)
    parity: Parity | None = None
    precision_gate: PrecisionGate | None = None
    int8: Int8Record | None = None
    temperature: float = Field(gt=0)
    confidence_threshold: Fraction
    model_sha256: Sha256
    golden: tuple[GoldenImage, ...] = Field(min_length=1, max_length=64)
    golden_tolerance: float = Field(gt=0, le=0.05)
    training: TrainingRecord

    @model_validator(mode="after")
    def _labels_are_the_grades(self) -> Self:
        if self.labels != GRADES:
            raise ValueError(
                f"labels must be {', '.join(GRADES)} in this order, not {', '.join(self.labels)}"
            )
        return self

    @model_validator(mode="after")
    def _int8_has_passed(self) -> Self:
        gate = self.precision_gate
        if self.precision == "int8" and (gate is None or gate.tried != "int8" or not gate.passed):
            raise ValueError("precision int8 without a passed precision_gate of int8")
        return self

    @model_validator(mode="after")
    def _level_is_whole(self) -> Self:
        wanted = FORMAT if self.level is None else FORMAT_WITH_LEVEL
        if self.format != wanted:
            has = "no level" if self.level is None else "a level"
            raise ValueError(f"format must be {wanted} of a bundle with {has}, not {self.format}")
        if any((golden.level is None) != (self.level is None) for golden in self.golden):
            raise ValueError("each golden image must have a level where the model has, and only so")
        if self.level is not None and self.level.output_name == self.output_name:
            raise ValueError(f"level.output_name is {self.output_name}, the grades' output")
        return self

"""The manifest of a model bundle: what the agent must know before it lets a model grade."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from edge_agent.grades import GRADES, Grade

FORMAT: Final = 1
"""Version of the bundle format this agent reads."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GradedArea(_Part):
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


class InputSpec(_Part):
    """The model's input: uint8 RGB, shape (batch, height, width, 3), resized by area."""

    name: str = "image"
    width: int = Field(ge=32, le=1024)
    height: int = Field(ge=32, le=1024)
    color: Literal["rgb"] = "rgb"
    resize: Literal["area"] = "area"
    graded_area: GradedArea = GradedArea()


class GoldenImage(_Part):
    """One image in the bundle and the probabilities the model must give for it."""

    path: str = Field(pattern=r"^golden/[A-Za-z0-9_.-]+\.png$")
    grade: Grade
    probabilities: tuple[Fraction, ...] = Field(min_length=len(GRADES), max_length=len(GRADES))


class TrainingRecord(_Part):
    """Where the model comes from."""

    command: str
    data_digest: str
    seed: int
    machine: str
    versions: dict[str, str]
    metrics: dict[str, float]


class Manifest(_Part):
    """manifest.json of a bundle."""

    format: Literal[1] = FORMAT
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}$")
    created_at: AwareDatetime
    description: str
    labels: tuple[Grade, ...]
    input: InputSpec
    output_name: str = "probabilities"
    precision: Literal["fp32", "fp16-weights", "int8"]
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

"""What every part of a bundle's manifest is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """A part of manifest.json: what this agent does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
